"""What a route must not ask of any proxy, said before anything is changed."""

from __future__ import annotations

from pilotage.errors import ProxyError
from pilotage.model import Front, Route

LARGEST_PAGE = 1 << 20
"""Bytes of the largest page that an edge answers with."""


def require_sound(host: str, route: Route) -> None:
    """Raise `ProxyError` for a route that no edge can do."""
    on_trial = {endpoint.release for endpoint in route.trial}
    both = sorted(on_trial & {endpoint.release for endpoint in route.active})
    if both:
        _refuse(host, f"release {both[0]} cannot be on trial against itself")
    if not 0 <= route.share <= 1:
        _refuse(host, f"a trial cannot have the share {route.share:g} of the requests")
    if route.front is not None:
        _require_front(host, route.front)


def _require_front(host: str, front: Front) -> None:
    if front.mode not in {"maintenance", "pause"}:
        _refuse(host, f"an edge knows no front of the kind {front.mode!r}")
    if not 200 <= front.status <= 599:
        _refuse(host, f"{front.status} is no status to answer with")
    size = len(front.body.encode())
    if size > LARGEST_PAGE:
        _refuse(host, f"a page may have {LARGEST_PAGE} bytes, and this one has {size}")
    if not 0 < front.limit <= 3600:
        _refuse(host, f"a request cannot be held for {front.limit:g} s, but for up to an hour")


def _refuse(host: str, what: str) -> None:
    raise ProxyError(what, where=host, state="the old route is in force")
