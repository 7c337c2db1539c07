"""From the fragments of a host's services to Caddy's configuration, as JSON. Pure.

Caddy's own automatic HTTPS is off: which names get a certificate, and which requests are sent on to HTTPS,
stands here, so that it can be read and compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from pilotage.errors import ProxyError
from pilotage.proxy.door.fragment import DoorSettings, Fragment

HOME = "/door"
"""Where the door's directory is in its container."""
ADMIN = f"unix/{HOME}/admin.sock"
HTTP, HTTPS, METRICS = 80, 443, 9180
"""Ports in the container."""

CLOSING = "closing"
"""A file in the door's directory: while it is there, an answer is the last one on its connection. Caddy closes
idle connections when it takes a new configuration, as a client writes to them; so they are ended before."""

_CONNECT = "2s"
_HOLD = "3s"
"""How long a request waits for an edge that is just being started again."""
_STREAM = "86400s"
"""How long a WebSocket may go on after a change of the configuration that is not about it."""

Part = tuple[Fragment, tuple[str, ...], str]
"""What is routed as one: a fragment's names of one kind, and one of its paths."""


def caddy(fragments: Iterable[Fragment], settings: DoorSettings) -> dict[str, Any]:
    """The whole configuration.

    Raises
    ------
    ProxyError
        Two services ask for the same requests.
    """
    every = sorted(fragments, key=lambda fragment: fragment.service)
    require_apart(every)
    secure = [fragment for fragment in every if fragment.tls]
    parts = ordered(every)
    servers = {"http": _server(HTTP, parts, tls=False)}
    if secure:
        servers["https"] = _server(HTTPS, [it for it in parts if it[0].tls], tls=True)
    if settings.metrics is not None:
        servers["metrics"] = {
            "listen": [f":{METRICS}"],
            "automatic_https": {"disable": True},
            "routes": [{"handle": [{"handler": "metrics"}]}],
        }
    return {
        "admin": {"listen": f"{ADMIN}|0600", "config": {"persist": False}},
        "storage": {"module": "file_system", "root": f"{HOME}/data"},
        "logging": {"logs": {"default": {"level": "DEBUG" if settings.debug else "INFO"}}},
        "apps": {
            "http": {
                "servers": servers,
                **({} if settings.metrics is None else {"metrics": {}}),
            },
            **({"tls": _tls(secure)} if secure else {}),
        },
    }


def require_apart(fragments: Iterable[Fragment]) -> None:
    """Raise `ProxyError` when two services ask for the same requests."""
    taken: dict[tuple[str, str], str] = {}
    for fragment in fragments:
        for name in fragment.names or ("",):
            for prefix in fragment.prefixes or ("",):
                at = (name.lower(), _path(prefix))
                other = taken.setdefault(at, fragment.service)
                if other != fragment.service:
                    raise ProxyError(
                        f"{fragment.service} and {other} both ask for "
                        f"{name or 'every name that nobody else has'}, {_path(prefix)}",
                        where="proxy.host",
                        state="the door is as it was",
                        next="give each its own `proxy.host` or `proxy.path_prefix`",
                    )


def ordered(fragments: Iterable[Fragment]) -> list[Part]:
    """The narrower before the wider: names before wildcards before none, and long paths before short."""
    found: list[tuple[tuple[int, int, str, str], Part]] = []
    for fragment in fragments:
        kinds = {
            0: tuple(name for name in fragment.names if not name.startswith("*")),
            1: tuple(name for name in fragment.names if name.startswith("*")),
        }
        for rank, names in kinds.items() if fragment.names else {2: ()}.items():
            for prefix in fragment.prefixes or ("",):
                path = _path(prefix)
                if names or rank == 2:
                    key = (rank, -len(path), fragment.service, path)
                    found.append((key, (fragment, names, path)))
    return [part for _, part in sorted(found, key=lambda it: it[0])]


def _path(prefix: str) -> str:
    return "/" + prefix.strip("/")


def _server(port: int, parts: Sequence[Part], *, tls: bool) -> dict[str, Any]:
    return {
        "listen": [f":{port}"],
        "protocols": ["h1", "h2"],
        "automatic_https": {"disable": True},
        "read_header_timeout": "60s",
        "idle_timeout": "300s",
        "logs": {},
        **({"tls_connection_policies": [{}]} if tls else {}),
        "routes": [
            _closing(),
            *(_route(part, redirect=not tls) for part in parts),
            {"handle": [{"handler": "error", "status_code": 404}]},
        ],
        "errors": {
            "routes": [
                *(page for part in parts for page in _pages(part)),
                {
                    "handle": [
                        {
                            "handler": "static_response",
                            "status_code": "{http.error.status_code}",
                            "headers": {"content-type": ["text/plain; charset=utf-8"]},
                            "body": "{http.error.status_code} {http.error.status_text}\n",
                        }
                    ]
                },
            ]
        },
    }


def _closing() -> dict[str, Any]:
    return {
        "match": [
            {
                "file": {"root": HOME, "try_files": [f"/{CLOSING}"]},
                # What becomes a WebSocket goes on, and is no request that anybody waits for.
                "not": [{"header": {"Upgrade": ["*"]}}],
            }
        ],
        "handle": [{"handler": "headers", "response": {"set": {"Connection": ["close"]}}}],
    }


def _match(names: tuple[str, ...], path: str, **more: Any) -> dict[str, Any]:
    match: dict[str, Any] = dict(more)
    if names:
        match["host"] = list(names)
    if path != "/":
        match["path"] = [path, f"{path}/*"]
    return {"match": [match]} if match else {}


def _route(part: Part, *, redirect: bool) -> dict[str, Any]:
    fragment, names, path = part
    send_on = redirect and fragment.tls and fragment.redirect
    handle = [_to_https()] if send_on else _forward(fragment, path)
    return {**_match(names, path), "handle": handle, "terminal": True}


def _to_https() -> dict[str, Any]:
    return {
        "handler": "static_response",
        "status_code": 301,
        "headers": {"Location": ["https://{http.request.host}{http.request.uri}"]},
    }


def _forward(fragment: Fragment, path: str) -> list[dict[str, Any]]:
    handle: list[dict[str, Any]] = []
    if fragment.largest_body is not None:
        handle.append({"handler": "request_body", "max_size": fragment.largest_body})
    if fragment.strip and path != "/":
        handle.append(
            {"handler": "headers", "request": {"set": {"X-Forwarded-Prefix": [path]}}},
        )
        handle.append({"handler": "rewrite", "strip_path_prefix": path})
    proxy: dict[str, Any] = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": fragment.upstream}],
        "transport": {
            "protocol": "http",
            "dial_timeout": _CONNECT,
            "response_header_timeout": f"{fragment.timeout:g}s",
            "keep_alive": {"max_idle_conns_per_host": 1024},
        },
        # Only a request that never left the door is tried again.
        "load_balancing": {"try_duration": _HOLD, "try_interval": "50ms"},
        "flush_interval": -1,
        "stream_close_delay": _STREAM,
    }
    if fragment.forward_headers:
        proxy["trusted_proxies"] = ["0.0.0.0/0", "::/0"]
    return [*handle, proxy]


def _pages(part: Part) -> list[dict[str, Any]]:
    fragment, names, path = part
    return [
        {
            **_match(names, path, expression=f"{{http.error.status_code}} == {int(status)}"),
            "handle": [
                {
                    "handler": "static_response",
                    "status_code": int(status),
                    "headers": {"content-type": ["text/html; charset=utf-8"]},
                    # A page is text: what looks like one of Caddy's placeholders is none.
                    "body": page.replace("{", "\\{"),
                }
            ],
            "terminal": True,
        }
        for status, page in sorted(fragment.pages.items())
    ]


def _tls(secure: Sequence[Fragment]) -> dict[str, Any]:
    own = [fragment for fragment in secure if fragment.certificate]
    automatic = [fragment for fragment in secure if not fragment.certificate]
    names = list(dict.fromkeys(name for fragment in automatic for name in fragment.names))
    policies = [
        {"subjects": list(fragment.names), "issuers": [_issuer(fragment)]} for fragment in automatic
    ]
    return {
        "certificates": {
            **({"automate": names} if names else {}),
            **({"load_files": [_files(fragment) for fragment in own]} if own else {}),
        },
        **({"automation": {"policies": policies}} if policies else {}),
    }


def _issuer(fragment: Fragment) -> dict[str, Any]:
    acme = fragment.acme
    return {
        "module": "acme",
        **({"ca": acme.ca} if acme.ca else {}),
        **({"email": acme.email} if acme.email else {}),
        **({"trusted_roots_pem_files": [root_file(acme.root)]} if acme.root else {}),
    }


def root_file(root: str) -> str:
    """Where the PEM of a CA's own authority is, in the container."""
    return f"{HOME}/{root_name(root)}"


def root_name(root: str) -> str:
    """Below the door's directory."""
    return f"certificates/root-{hashlib.sha256(root.encode()).hexdigest()[:16]}.pem"


def _files(fragment: Fragment) -> dict[str, Any]:
    place = f"{HOME}/certificates/{fragment.certificate}"
    return {"certificate": f"{place}.crt", "key": f"{place}.key"}
