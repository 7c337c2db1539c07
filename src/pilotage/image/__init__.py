"""Images: built from a release's checkout, pushed to a registry, named by their revision."""

from __future__ import annotations

from pilotage.image.builder import ImageBuilder
from pilotage.image.delivery import Delivery
from pilotage.image.local_registry import LocalRegistry, local_port
from pilotage.image.login import log_in, log_out
from pilotage.image.prune import prune_images
from pilotage.image.spec import BuildSecret, BuildSpec, Cache, ImageName, Login, Pack

__all__ = [
    "BuildSecret",
    "BuildSpec",
    "Cache",
    "Delivery",
    "ImageBuilder",
    "ImageName",
    "LocalRegistry",
    "Login",
    "Pack",
    "local_port",
    "log_in",
    "log_out",
    "prune_images",
]
