"""The resolved configuration as plain data and as YAML, with every secret masked."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel

from pilotage.config.config import Config
from pilotage.secret import MASK, Secret, mask

_HIDDEN = frozenset(
    {
        *("file", "store", "erb_not_run", "roles", "databases", "primary", "version"),
        "accessory_proxies",  # the accessories have them
    }
)
_OTHERS = (
    "registry",
    "builder",
    "accessories",
    "ssh",
    "sshkit",
    "boot",
    "aliases",
    "retain_containers",
    "minimum_version",
    "require_destination",
    "allow_empty_roles",
    "run_directory",
)


def describe(config: Config) -> dict[str, Any]:
    """Plain data for ``pilotage config``: defaults filled in, roles with their environments; secrets masked."""
    data: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        if field.name not in _HIDDEN:
            data[field.name] = _plain(getattr(config, field.name))
    data["version"] = config.version
    data["primary_role"] = config.primary
    data["roles"] = {role.name: _role(config, role.name) for role in config.roles}
    data["databases"] = {
        name: {
            "url": MASK,
            "migration_url": MASK if database.written_migration_url else None,
            "replicas": [MASK] * len(database.written_replicas),
        }
        for name, database in config.databases.items()
    }
    for name in _OTHERS:
        data[name] = _plain(getattr(config, name))
    data["hooks_output"] = _plain(config.file.hooks_output)
    _mask_registries(data)
    data["not_run"] = list(config.not_run)
    known = config.secrets.values()
    masked = _masked(data, tuple(known))
    assert isinstance(masked, dict)
    return masked


def _role(config: Config, name: str) -> dict[str, Any]:
    role = config.role(name)
    data = {
        field.name: _plain(getattr(role, field.name))
        for field in dataclasses.fields(role)
        if field.name not in {"name", "env", "proxy"}
    }
    if role.traffic and role.proxy != config.proxy:
        data["proxy"] = _plain(role.proxy)
    data["env"] = _environment(config, name, None)
    by_host = {host: _environment(config, name, host) for host in role.hosts if role.tags.get(host)}
    if by_host:
        data["env_by_host"] = by_host
    return data


def _environment(config: Config, role: str, host: str | None) -> dict[str, str]:
    """The environment without asking for any secret's value: one that is missing shows as well."""
    names = (entry.partition(":")[0] for entry in config.secret_names(role, host))
    return dict.fromkeys(names, MASK) | config.clear_env(role, host)


def _mask_registries(data: dict[str, Any]) -> None:
    """A password that is written out, or comes from ERB; a list holds only a secret's name."""
    for registry in (data["registry"], *(a["registry"] for a in data["accessories"].values())):
        if registry and isinstance(registry["password"], str):
            registry["password"] = MASK


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, BaseModel):
        return _plain(value.model_dump(by_alias=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    return str(value) if isinstance(value, str) else value


def _masked(value: Any, secrets: tuple[Secret, ...]) -> Any:
    if isinstance(value, str):
        return mask(value, secrets)
    if isinstance(value, dict):
        return {key: _masked(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, secrets) for item in value]
    return value


def to_yaml(data: Mapping[str, Any]) -> str:
    """Plain data as YAML, in its own order."""
    from ruamel.yaml import YAML

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.width = 4096
    out = io.StringIO()
    writer.dump(dict(data), out)
    return out.getvalue()
