"""The page that an edge answers with itself: small, in one piece, in light and dark. Pure."""

from __future__ import annotations

from html import escape

from pilotage.model import Front

MESSAGE = "We are working on this site. It will be back in a moment."
STATUS = 503
RETRY_AFTER = 120
PAUSE_RETRY_AFTER = 5

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center;
  font: 1.125rem/1.6 system-ui, sans-serif }}
main {{ max-width: 34rem; padding: 2rem; text-align: center }}
h1 {{ font-size: 1.5rem; font-weight: 600; margin: 0 0 .5rem }}
p {{ margin: 0; opacity: .75; white-space: pre-line; overflow-wrap: anywhere }}
</style>
<main>
<h1>{title}</h1>
<p>{message}</p>
</main>
</html>
"""


def maintenance(
    message: str = MESSAGE, *, status: int = STATUS, retry_after: int | None = RETRY_AFTER
) -> Front:
    """The front that shows ``message``, which may be any text: it is escaped."""
    body = _page("Down for maintenance", message)
    return Front("maintenance", body=body, status=status, retry_after=retry_after)


def pause(limit: float) -> Front:
    """The front that holds each request for at most ``limit`` seconds, and then says that it was long."""
    body = _page("One moment", "This takes longer than it should. Please try again.")
    return Front("pause", body=body, retry_after=PAUSE_RETRY_AFTER, limit=limit)


def _page(title: str, message: str) -> str:
    return _PAGE.format(title=escape(title), message=escape(message))
