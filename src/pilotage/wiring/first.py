"""Images that prepare their database themselves, in the entrypoint: one instance starts first, alone.

Kamal leaves migrations to the image, and Rails' image runs ``db:prepare`` when it starts a server. That is
so wherever nothing is configured, and pilotage cannot see it: so it has one instance do it.
"""

from __future__ import annotations

import re

from pilotage.config import Config

UNTOLD = 600.0
"""Seconds for the first instance until it listens, where nothing says that its entrypoint migrates. The
longer it is, the longer one that listens on another port is waited for."""

_SCRIPTS = (
    "bin/docker-entrypoint",
    "bin/docker-entrypoint.sh",
    "docker-entrypoint.sh",
    "docker/entrypoint.sh",
    "bin/entrypoint.sh",
    "bin/entrypoint",
    "entrypoint.sh",
)
_PREPARES = re.compile(
    r"""db:prepare | db:migrate | alembic\s+upgrade | manage\.py\s+migrate | prisma\s+migrate\s+deploy""",
    re.VERBOSE,
)

_RELEASE_PHASE = (
    "in a release phase it runs once, before anything is started, with a plan, and what old code needs is "
    "held back: take it out of the script, and give `databases` and `migrations: {engine: …}` (rails, "
    "django, alembic, command)"
)


def prepared_by_image(config: Config) -> bool:
    """Whether the configuration says that the image prepares the database itself."""
    return config.migrations is not None and config.migrations.engine == "entrypoint"


def first_alone(config: Config) -> float | None:
    """Seconds for one instance to get ready before the others start; None: they start together."""
    if config.migrations is None:
        # Without containers there is no image that would do it unasked.
        return UNTOLD if config.target == "docker" else None
    return config.migrations.timeout if prepared_by_image(config) else None


def hints(config: Config) -> tuple[str, ...]:
    """What a person should know whose image migrates. A script is read for it, and nothing else rests on
    what is found there."""
    script, command = _preparing(config) or ("", "")
    if prepared_by_image(config):
        return (
            "the image prepares the database itself: nobody sees what it applies, so nothing is guaranteed, "
            f"and old code meets what it changed; {_RELEASE_PHASE}",
        )
    if not script or config.target == "local":
        return ()
    if config.migrations is None:
        return (
            f"{script} runs `{command}`, so one instance starts first, alone; {_RELEASE_PHASE}",
        )
    if config.migrations.engine == "none":
        return (
            f"{script} runs `{command}`, and `engine: none` has every instance do that at once: "
            "`engine: entrypoint` has one do it first",
        )
    return (f"{script} runs `{command}` as well, which knows of no half that is held: take it out",)


def _preparing(config: Config) -> tuple[str, str] | None:
    """The project's entrypoint that migrates, and what it runs for that."""
    for name in _SCRIPTS:
        try:
            text = (config.root / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for line in text.splitlines():
            found = _PREPARES.search(line.partition("#")[0])
            if found:
                return name, found.group()
    return None
