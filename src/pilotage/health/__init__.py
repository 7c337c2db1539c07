"""Readiness that knows the schema: 200 only while the release fits, for ASGI and WSGI.

One line mounts it, and it answers before the application sees the request::

    import pilotage.health

    app = pilotage.health.asgi(app)  # Starlette, FastAPI, Django's asgi.py, any ASGI application
    application = pilotage.health.wsgi(application)  # Django's wsgi.py, any WSGI application

The answer is not ready only on positive evidence that the release does not fit: an error of the database
keeps the last answer, and before the first answer it is not ready. See `pilotage.health.verdict`.

Importing this costs an application little; the database's driver is loaded when it is first asked.
"""

from __future__ import annotations

from pilotage.health.asgi_app import asgi
from pilotage.health.readiness import Readiness
from pilotage.health.settings import Settings
from pilotage.health.wsgi_app import wsgi

__all__ = ["Readiness", "Settings", "asgi", "wsgi"]
