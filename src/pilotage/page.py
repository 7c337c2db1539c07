"""The page that an edge answers with in maintenance: small, in one piece, in light and dark. Pure."""

from __future__ import annotations

from html import escape

from pilotage.model import Front

MESSAGE = "We are working on this site. It will be back in a moment."
STATUS = 503
RETRY_AFTER = 120

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Maintenance</title>
<style>
:root {{ color-scheme: light dark }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center;
  font: 1.125rem/1.6 system-ui, sans-serif }}
main {{ max-width: 34rem; padding: 2rem; text-align: center }}
h1 {{ font-size: 1.5rem; font-weight: 600; margin: 0 0 .5rem }}
p {{ margin: 0; opacity: .75; white-space: pre-line; overflow-wrap: anywhere }}
</style>
<main>
<h1>Down for maintenance</h1>
<p>{message}</p>
</main>
</html>
"""


def maintenance(
    message: str = MESSAGE, *, status: int = STATUS, retry_after: int | None = RETRY_AFTER
) -> Front:
    """The front that shows ``message``, which may be any text: it is escaped."""
    body = _PAGE.format(message=escape(message))
    return Front("maintenance", body=body, status=status, retry_after=retry_after)
