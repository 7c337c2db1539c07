"""What both kinds of server share."""

from __future__ import annotations

CONTENT_TYPE = "application/json; charset=utf-8"
NOT_ALLOWED = b'{"error": "GET or HEAD"}'


def is_at(path: str, asked: str) -> bool:
    """Whether a request is for ``path``, with or without a slash at its end."""
    return asked.rstrip("/") == path.rstrip("/")
