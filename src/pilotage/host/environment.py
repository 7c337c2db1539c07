"""What a process inherits from whoever typed the command: enough to find its tools, and nothing else.

An instance must be the same whoever deploys it, from whichever shell, so it gets the variables below
and what the configuration says. Anything more (a proxy setting, a `GEM_HOME`) belongs under ``env:``.
"""

from __future__ import annotations

from collections.abc import Mapping

INHERITED = frozenset(
    {
        "HOME",
        "LANG",
        "LANGUAGE",
        "LOGNAME",
        "PATH",
        "SHELL",
        "TMPDIR",
        "TZ",
        "USER",
        "VIRTUAL_ENV",  # PATH leads into it already
    }
)


def base_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of ``environ`` that every process gets: `INHERITED`, and the ``LC_*`` of its locale."""
    return {
        name: value
        for name, value in environ.items()
        if name in INHERITED or name.startswith("LC_")
    }
