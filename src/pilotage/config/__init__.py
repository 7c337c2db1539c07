"""``deploy.yml`` and everything around it: Kamal's format, ERB, destinations, secrets.

`load_config` is the way in and `Config` what comes out. Both are imported when they are first used,
because the command line must start fast and pydantic does not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pilotage.config.config import (
        Config,
        DatabaseConfig,
        LocalConfig,
        MigrationsConfig,
        ProxyConfig,
        RoleConfig,
    )
    from pilotage.config.load import find_config, load_config

__all__ = [
    "Config",
    "DatabaseConfig",
    "LocalConfig",
    "MigrationsConfig",
    "ProxyConfig",
    "RoleConfig",
    "find_config",
    "load_config",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "load" if name in {"find_config", "load_config"} else "config"
    return getattr(import_module(f"pilotage.config.{module}"), name)
