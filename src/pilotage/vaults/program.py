"""A vendor's program: whether it is there, and what it prints."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pilotage.errors import ConfigError

_QUOTED = 3  # lines of what it complained of


@dataclass(frozen=True, slots=True)
class Program:
    """``name`` in the environment ``environ``; ``vendor`` as people call what it belongs to.

    ``terminal``: a person sits there, who can log in.
    """

    name: str
    vendor: str
    environ: Mapping[str, str] = field(repr=False)
    terminal: bool = False

    def require(self) -> None:
        """Raise `ConfigError` unless it is installed."""
        if shutil.which(self.name, path=self.environ.get("PATH", os.defpath)) is None:
            raise ConfigError(
                f"{self.vendor} is asked by its program `{self.name}`, which is not installed",
                next=f"install `{self.name}`, so that it is found in PATH",
            )

    def having(self, **variables: str) -> Program:
        """The same program with more in its environment: a session, which no argv may hold."""
        return replace(self, environ={**self.environ, **variables})

    def succeeds(self, *arguments: str) -> bool:
        """Whether a command ends with 0, whatever it prints."""
        return self._run(arguments, stderr=subprocess.DEVNULL).returncode == 0

    def text(self, *arguments: str, what: str) -> str:
        """What a command prints; ``what`` it was to give, in words, without any value.

        Raises
        ------
        ConfigError
            It did not end with 0. Quotes what it complained of.
        """
        done = self._run(arguments, stderr=subprocess.PIPE)
        if done.returncode != 0:
            complaint = done.stderr.decode(errors="replace").strip().splitlines()[-_QUOTED:]
            quoted = f": {' / '.join(complaint)}" if complaint else ""
            raise ConfigError(
                f"{self.vendor} did not give {what}: `{self.name} {arguments[0]}` exited "
                f"{done.returncode}{quoted}"
            )
        return done.stdout.decode(errors="replace")

    def json(self, *arguments: str, what: str) -> Any:
        """The same, read as JSON."""
        text = self.text(*arguments, what=what)
        try:
            return json.loads(text)
        except ValueError:
            # Neither the text nor the parser's message: both may hold the secret.
            raise ConfigError(
                f"{self.vendor} did not give {what}: what `{self.name}` printed is no JSON"
            ) from None

    def log_in(self, *arguments: str) -> str:
        """Have a person log in; what the command printed.

        Raises
        ------
        ConfigError
            Nobody is there, or it failed. Says what to run.
        """
        by_hand = " ".join((self.name, *arguments))
        if not self.terminal:
            raise ConfigError(f"nobody is logged in to {self.vendor}", next=f"`{by_hand}`")
        done = self._run(arguments, stderr=None)
        if done.returncode != 0:
            raise ConfigError(f"the log-in to {self.vendor} failed", next=f"`{by_hand}`")
        return done.stdout.decode(errors="replace")

    def _run(
        self, arguments: tuple[str, ...], stderr: int | None
    ) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                (self.name, *arguments),
                env=dict(self.environ),
                stdout=subprocess.PIPE,
                stderr=stderr,
                check=False,
            )
        except OSError as error:
            raise ConfigError(f"`{self.name}` cannot be run: {error.strerror}") from error


def missing(vendor: str, names: list[str]) -> ConfigError:
    """The error of secrets that are not there, by their names."""
    return ConfigError(
        f"{vendor} has no {', '.join(names)}",
        next="correct the name, or --from; what is there can be listed with the vendor's program",
    )
