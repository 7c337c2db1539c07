"""Accessories: databases, caches and the like that run beside a service, in containers of their own."""

from __future__ import annotations

from pilotage.accessory.accessories import Accessories
from pilotage.accessory.spec import AccessorySpec, Directory, Environment, File, Front

__all__ = ["Accessories", "AccessorySpec", "Directory", "Environment", "File", "Front"]
