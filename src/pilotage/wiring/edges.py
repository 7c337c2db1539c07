"""Config → how requests come in on Docker hosts: an edge of the service on each, a door before it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from pilotage.config import Config, RoleConfig
from pilotage.config.schema.kamal import Proxy as Written
from pilotage.docker import flags
from pilotage.docker.names import found_id
from pilotage.errors import ConfigError, ProxyError
from pilotage.events import Emit
from pilotage.proxy.base import Proxy
from pilotage.proxy.door import Acme, Door, DoorSettings, Entrance, Fragment, OwnCertificate
from pilotage.proxy.door.config import require_apart
from pilotage.proxy.envoy import EnvoyProxy, EnvoySettings
from pilotage.proxy.envoy.docker import DockerPlace
from pilotage.proxy.envoy.scripts import EdgeContainer
from pilotage.proxy.fleet import EdgeFleet
from pilotage.proxy.roles import RoleEdges
from pilotage.wiring.use import Use

if TYPE_CHECKING:
    from pilotage.config.config import ProxyConfig
    from pilotage.shell.base import Shell
    from pilotage.targets.docker.spec import DockerService

EDGE_PORT = 80
"""Where an edge listens, inside its container: the door of the host is in front of it."""

PAGES = ("502", "503", "504")
"""The statuses that a door answers with by itself."""


def open_edges(
    config: Config,
    service: DockerService,
    shells: Mapping[str, Shell],
    stack: AsyncExitStack,
    *,
    emit: Emit,
    use: Use,
    at: Collection[str] | None = None,
) -> EdgeFleet:
    """The way in on each of these hosts with a role that takes traffic; one with several has an edge for each.

    ``at``: as `EdgeFleet` has it.

    Raises
    ------
    ConfigError
        Two roles on a host ask for the same requests.
    """
    secret = use is Use.ACT
    certificates = {
        role.name: certificate_of(config, role) if secret else None for role in traffic_of(config)
    }

    def entrance(host: str, role: RoleConfig) -> Entrance:
        container = edge_container(config, service, role)
        edge = EnvoySettings(
            state_dir=Path(service.state_dir),
            host=host,
            port=EDGE_PORT,
            service=service.service,
            in_front=1,
        )
        place = DockerPlace(shells[host], container, edge, emit)
        stack.push_async_callback(place.close)
        return Entrance(
            edge=EnvoyProxy(edge, place),
            door=Door(shells[host], door_settings(role.proxy, service.docker), emit),
            fragment=fragment(
                *(config, role.proxy),
                service=container.part,
                upstream=f"{container.name}:{EDGE_PORT}",
                certificate=certificates[role.name],
            ),
            state_dir=service.state_dir,
            certificate=certificates[role.name],
        )

    def way_in(host: str, roles: tuple[RoleConfig, ...]) -> Proxy:
        edges = {role.name: entrance(host, role) for role in roles}
        if len(edges) == 1:
            return next(iter(edges.values()))
        try:
            require_apart(edge.fragment for edge in edges.values())
        except ProxyError as error:
            raise ConfigError(
                f"on {host} {error.what}", where=str(config.path), key="servers", next=error.next
            ) from error
        return RoleEdges(host, edges, role_of(service, host, tuple(edges)))

    found = ((host, roles) for host, roles in _by_host(config).items() if host in shells)
    return EdgeFleet({host: way_in(host, roles) for host, roles in found}, at)


def traffic_of(config: Config) -> tuple[RoleConfig, ...]:
    """The roles that take traffic, the primary one first."""
    found = (role for role in config.roles if role.traffic)
    return tuple(sorted(found, key=lambda role: role.name != config.primary))


def edge_hosts(config: Config) -> tuple[str, ...]:
    """The hosts that have an edge, and a door before it: those with a role that takes traffic."""
    return tuple(_by_host(config))


def edge_container(config: Config, service: DockerService, role: RoleConfig) -> EdgeContainer:
    """The edge of a role. That of the first one has the service's name alone."""
    first = traffic_of(config)[0].name
    return EdgeContainer(
        service_name(service),
        service.state_dir,
        program=service.docker,
        role="" if role.name == first else role.name,
    )


def role_of(
    service: DockerService, host: str, roles: tuple[str, ...]
) -> Callable[[str], str | None]:
    """Which role an instance on a host is of, by its id."""
    starts = {
        start: role
        for role in roles
        for start in (
            f"{service.service}-{role}-{host}-",
            found_id(service.service, role, ""),
        )
    }

    def find(instance: str) -> str | None:
        return next((role for start, role in starts.items() if instance.startswith(start)), None)

    return find


def _by_host(config: Config) -> dict[str, tuple[RoleConfig, ...]]:
    roles = traffic_of(config)
    hosts = dict.fromkeys(host for role in roles for host in role.hosts)
    return {host: tuple(role for role in roles if host in role.hosts) for host in hosts}


def open_doors(
    config: Config, service: DockerService, shells: Mapping[str, Shell], emit: Emit
) -> dict[str, Door]:
    """The door of each of these hosts with a role that takes traffic, for `pilotage proxy`."""
    return {
        host: Door(shells[host], settings, emit)
        for host, settings in settings_of_doors(config, service.docker).items()
        if host in shells
    }


def service_name(service: DockerService) -> str:
    """With its destination, as the edge's container and the door know it."""
    return "-".join(filter(None, (service.service, service.destination)))


def settings_of_doors(config: Config, program: str) -> dict[str, DoorSettings]:
    """How the door of each host is run whose roles take traffic."""
    return {
        host: door_settings(roles[0].proxy, program) for host, roles in _by_host(config).items()
    }


def fragment(
    config: Config,
    proxy: ProxyConfig,
    *,
    service: str,
    upstream: str,
    certificate: OwnCertificate | None,
) -> Fragment:
    """What a role or an accessory wants of the door."""
    return Fragment(
        service=service,
        upstream=upstream,
        names=proxy.hosts,
        prefixes=proxy.path_prefixes,
        strip=proxy.strip_path_prefix,
        tls=proxy.ssl,
        certificate=certificate.name if certificate else None,
        acme=_acme(config, proxy),
        redirect=proxy.ssl_redirect,
        forward_headers=proxy.forward_headers,
        timeout=proxy.response_timeout,
        largest_body=proxy.buffering.max_request_body or None,
        pages=_pages(config.error_pages_path),
    )


def door_settings(proxy: ProxyConfig, program: str) -> DoorSettings:
    """The door's own container. What names Kamal's image there does not name ours."""
    run = proxy.run
    return DoorSettings(
        http=run.http_port or proxy.port,
        https=run.https_port or 443,
        publish=run.publish,
        bind=run.bind_ips,
        metrics=run.metrics_port,
        debug=run.debug,
        log_size=run.log_max_size or "10m",
        options=flags.options(run.options),
        program=program,
    )


def certificate_of(config: Config, role: RoleConfig) -> OwnCertificate | None:
    """A role's own certificate: its own `ssl` says, or the root's. Raises `SecretMissing`."""
    own = config.file.servers[role.name].proxy if role.name in config.file.servers else None
    its = isinstance(own, Written) and "ssl" in own.model_fields_set
    path = ("servers", role.name, "proxy", "ssl") if its else ("proxy", "ssl")
    return certificate(config, role.proxy, *path)


def certificate(config: Config, proxy: ProxyConfig, *path: str) -> OwnCertificate | None:
    """Its own certificate, where it has one, written at ``path``. Raises `SecretMissing`."""
    given = proxy.certificate
    if given is None:
        return None
    chain, key = (
        config.secret(name or "", *path, of, what="the certificate")
        for of, name in (
            ("certificate_pem", given.certificate_pem),
            ("private_key_pem", given.private_key_pem),
        )
    )
    return OwnCertificate(chain.reveal(), key)


def _acme(config: Config, proxy: ProxyConfig) -> Acme:
    given = proxy.acme
    if given.root is None:
        return Acme(given.ca, None, given.email)
    try:
        root = (config.root / given.root).read_text()
    except OSError as error:
        raise ConfigError(
            f"the root of the certificate authority cannot be read: {error.strerror}",
            where=str(config.root / given.root),
            key="proxy.acme.root",
            next="give the path of its PEM file, relative to the project",
        ) from error
    return Acme(given.ca, root, given.email)


def _pages(folder: Path | None) -> dict[str, str]:
    """The error pages that there are, by status."""
    if folder is None:
        return {}
    found = ((status, folder / f"{status}.html") for status in PAGES)
    return {status: page.read_text() for status, page in found if page.is_file()}
