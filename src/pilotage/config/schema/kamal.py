"""What a Kamal 2 file may contain, section by section."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pilotage.config.schema.base import (
    FLAG,
    FLAG_OR_SECTION,
    SECTION,
    TEXT,
    TEXT_OR_SECTION,
    Credential,
    Flag,
    HostLimit,
    Labels,
    OneOrMore,
    Options,
    Port,
    Seconds,
    SecretName,
    Section,
    Text,
    Texts,
    Values,
    Whole,
)

LogLevel = Annotated[
    Literal["debug", "info", "warn", "error", "fatal", "unknown"],
    BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
]


class Env(Section):
    """Environment variables. Without any of these three keys, all keys are clear variables."""

    clear: Labels = Field(default={}, description="Variables with their values.")
    secret: tuple[SecretName, ...] = Field(
        default=(), description="Names of secrets; `NAME:SECRET` gives one another name."
    )
    tags: dict[str, Env] = Field(
        default={}, description="Variables for hosts with a tag; at the root only."
    )


class Logging(Section):
    """Docker's logging of a container."""

    driver: Text | None = Field(default=None, description="Docker's logging driver.")
    options: Values = Field(default={}, description="Options of the driver.")


class Certificate(Section):
    """A certificate of one's own."""

    certificate_pem: Text | None = Field(
        default=None, description="The secret that holds the certificate."
    )
    private_key_pem: Text | None = Field(default=None, description="The secret that holds its key.")


class Healthcheck(Section):
    """How an instance with traffic shows that it is ready."""

    path: Text = Field(default="/up", description="The path that is asked.")
    interval: Seconds | None = Field(
        default=None, description="Time between two questions; 1s, and 100ms for `target: local`."
    )
    timeout: Seconds = Field(default=5.0, description="Time for one answer.")
    host: Text | None = Field(default=None, description="The Host header; pilotage's own key.")
    status: Whole | None = Field(
        default=None,
        ge=100,
        le=599,
        description="The expected status, any 2xx without it; pilotage's own key.",
    )


class Buffering(Section):
    """Whether the proxy buffers bodies. Sizes in bytes."""

    requests: Flag = Field(default=True, description="Buffer requests.")
    responses: Flag = Field(default=True, description="Buffer responses.")
    max_request_body: Whole | None = Field(
        default=None, description="Largest request body; no limit, where Kamal has 1 GB."
    )
    max_response_body: Whole | None = Field(
        default=None, description="Largest response body; no limit."
    )
    memory: Whole | None = Field(
        default=None, description="Bytes held in memory, the rest on disk."
    )


class ProxyLogging(Section):
    """Which headers the proxy logs."""

    request_headers: Texts | None = Field(default=None, description="Headers of requests.")
    response_headers: Texts | None = Field(default=None, description="Headers of responses.")


class ProxyRun(Section):
    """The proxy's own container."""

    http_port: Port | None = Field(default=None, description="Port for HTTP; 80.")
    https_port: Port | None = Field(default=None, description="Port for HTTPS; 443.")
    metrics_port: Port | None = Field(default=None, description="Port for metrics.")
    debug: Flag = Field(default=False, description="Verbose logs.")
    log_max_size: Text | None = Field(default=None, description="Largest log file; 10m.")
    publish: Flag = Field(default=True, description="Publish the ports on the host.")
    bind_ips: Texts = Field(default=(), description="Addresses to bind the ports to.")
    registry: Text | None = Field(default=None, description="Registry of the proxy's image.")
    repository: Text | None = Field(default=None, description="Repository of the proxy's image.")
    version: Text | None = Field(default=None, description="Tag of the proxy's image.")
    options: Options = Field(default={}, description="Further options for `docker run`.")


class Acme(Section):
    """Where automatic certificates come from; pilotage's own key."""

    ca: Text | None = Field(default=None, description="The directory's URL; Let's Encrypt's.")
    root: Text | None = Field(
        default=None,
        description="A PEM file with the root that the authority itself is trusted by.",
    )
    email: Text | None = Field(default=None, description="Whom the authority tells of problems.")


class Proxy(Section):
    """The edge: which requests reach the service, and how."""

    port: Port | None = Field(
        default=None,
        description="The port that the edge listens on: 80, and 8080 for `target: local`; "
        "pilotage's own key.",
    )
    host: Text | None = Field(default=None, description="The host name that is served; or `hosts`.")
    hosts: Texts | None = Field(default=None, description="The host names that are served.")
    app_port: Port = Field(default=80, description="The port that the application listens on.")
    ssl: Annotated[Annotated[Flag, FLAG] | Annotated[Certificate, SECTION], FLAG_OR_SECTION] = (
        Field(
            default=False, description="HTTPS: `true` for an automatic certificate, or one's own."
        )
    )
    acme: Acme = Field(default_factory=Acme, description="Where `ssl: true` gets certificates.")
    ssl_redirect: Flag = Field(default=True, description="Send HTTP requests on to HTTPS.")
    forward_headers: Flag | None = Field(
        default=None, description="Pass X-Forwarded-For and -Proto on; true unless `ssl`."
    )
    response_timeout: Seconds = Field(default=30.0, description="Time for a response.")
    path_prefix: Text | None = Field(
        default=None, description="Serve only these paths, comma-separated."
    )
    path_prefixes: Texts | None = Field(default=None, description="The same, as a list.")
    strip_path_prefix: Flag = Field(
        default=True, description="Remove the prefix before forwarding."
    )
    healthcheck: Healthcheck = Field(
        default_factory=Healthcheck, description="How readiness is asked."
    )
    buffering: Buffering = Field(default_factory=Buffering, description="Buffering of bodies.")
    logging: ProxyLogging = Field(default_factory=ProxyLogging, description="Headers in the log.")
    run: ProxyRun = Field(default_factory=ProxyRun, description="The proxy's container.")


class Registry(Section):
    """Where images are pushed to and pulled from."""

    server: Text | None = Field(default=None, description="The registry; Docker Hub without it.")
    username: Credential | None = Field(
        default=None, description="The user; in a list: a secret's name."
    )
    password: Credential | None = Field(
        default=None, description="The password; in a list: a secret's name."
    )


class Pack(Section):
    """Cloud Native Buildpacks."""

    builder: Text | None = Field(default=None, description="The builder image.")
    buildpacks: Texts = Field(default=(), description="The buildpacks.")


class Cache(Section):
    """The build cache."""

    type: Literal["gha", "registry"] | None = Field(
        default=None, description="`gha` or `registry`."
    )
    options: Text | None = Field(default=None, description="Options, such as `mode=max`.")
    image: Text | None = Field(default=None, description="The cache image.")


class Builder(Section):
    """How the image is built."""

    arch: OneOrMore | None = Field(default=None, description="`amd64`, `arm64`, or both.")
    remote: Text | None = Field(default=None, description="A remote builder, as ssh:// URL.")
    local: Flag = Field(default=True, description="Build here where the architecture is the same.")
    pack: Pack | None = Field(default=None, description="Build with buildpacks.")
    cache: Cache | None = Field(default=None, description="The build cache.")
    context: Text | None = Field(
        default=None, description="The build context; a git clone without it."
    )
    dockerfile: Text = Field(default="Dockerfile", description="The Dockerfile.")
    target: Text | None = Field(default=None, description="The stage to build.")
    args: Values = Field(
        default={}, description="Build arguments; one without a value is the variable of that name."
    )
    secrets: Texts = Field(default=(), description="Build secrets.")
    ssh: Text | None = Field(default=None, description="SSH agent socket or keys for the build.")
    driver: Text | None = Field(default=None, description="The build driver.")
    provenance: Text | None = Field(default=None, description="Provenance attestation.")
    sbom: Text | None = Field(default=None, description="SBOM generation.")


class Place(Section):
    """A file or a directory of an accessory, with its mode and owner."""

    local: Text | None = Field(
        default=None, description="The path here, or under the service's folder."
    )
    remote: Text | None = Field(default=None, description="The path in the container.")
    mode: Text | None = Field(default=None, description="Its mode, such as `0600`.")
    owner: Text | None = Field(default=None, description="Its owner, such as `mysql:mysql`.")
    options: Text | None = Field(default=None, description="Mount options: `ro`, `z`, `Z`.")


Places = tuple[Annotated[Annotated[Text, TEXT] | Annotated[Place, SECTION], TEXT_OR_SECTION], ...]


class Accessory(Section):
    """A service beside the application: a database, a cache."""

    service: Text | None = Field(default=None, description="Its name; `SERVICE-NAME` without it.")
    image: Text | None = Field(default=None, description="Its image.")
    registry: Registry | None = Field(default=None, description="Its registry.")
    host: Text | None = Field(default=None, description="Its host.")
    hosts: Texts | None = Field(default=None, description="Its hosts.")
    role: Text | None = Field(default=None, description="The role whose hosts it runs on.")
    roles: Texts | None = Field(default=None, description="The roles whose hosts it runs on.")
    tag: Text | None = Field(default=None, description="The tag whose hosts it runs on.")
    tags: Texts | None = Field(default=None, description="The tags whose hosts it runs on.")
    cmd: Text | None = Field(default=None, description="Its command.")
    port: Text | None = Field(default=None, description="Ports to publish.")
    labels: Labels = Field(default={}, description="Labels of the container.")
    options: Options = Field(default={}, description="Further options for `docker run`.")
    env: Env = Field(default_factory=Env, description="Its environment.")
    files: Places = Field(default=(), description="Files to copy and mount.")
    directories: Places = Field(default=(), description="Directories to create and mount.")
    volumes: Texts = Field(default=(), description="Volumes to mount.")
    network: Text = Field(default="kamal", description="Its network.")
    proxy: Annotated[Annotated[Flag, FLAG] | Annotated[Proxy, SECTION], FLAG_OR_SECTION] | None = (
        Field(default=None, description="Put it behind the proxy.")
    )


class Ssh(Section):
    """How hosts are reached."""

    user: Text = Field(default="root", description="The user.")
    port: Text = Field(default="22", description="The port.")
    proxy: Text | None = Field(default=None, description="A jump host.")
    proxy_command: Text | None = Field(default=None, description="A command that connects.")
    log_level: LogLevel = Field(
        default="fatal", description="How much SSH says: debug, info, warn, error, fatal."
    )
    keys_only: Flag = Field(default=False, description="Offer the keys named here alone.")
    keys: Texts = Field(default=(), description="Files of private keys.")
    key_data: Texts = Field(default=(), description="Secrets that hold private keys.")
    config: Annotated[Annotated[Flag, FLAG] | Annotated[OneOrMore, SECTION], FLAG_OR_SECTION] = (
        Field(default=True, description="Read OpenSSH's configuration: true, false, or files.")
    )


class Sshkit(Section):
    """Limits of SSH connections."""

    max_concurrent_starts: Whole = Field(default=30, description="Connections opened at once.")
    pool_idle_timeout: Seconds = Field(
        default=900.0, description="How long an idle connection is kept."
    )
    dns_retries: Whole = Field(default=3, description="Retries of a failed look-up.")


class Boot(Section):
    """How many hosts start at a time."""

    limit: HostLimit | None = Field(default=None, description="A number of hosts, or a percentage.")
    wait: Seconds = Field(default=0.0, description="Time between two groups.")
    parallel_roles: Flag = Field(default=False, description="Start the roles of a host at once.")
