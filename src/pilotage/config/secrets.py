"""The values of secrets: from the secrets files first, from the environment where that is allowed.

Nothing is evaluated before somebody asks for it. A ``$(command)`` runs when a verb that deploys needs
its value, once; for the others the value is a text that says what was not run.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pilotage.config import dotenv
from pilotage.config.document import read_text
from pilotage.errors import ConfigError, SecretMissing
from pilotage.secret import Secret


class Secrets:
    """The secrets of one configuration, evaluated when they are asked for, and then remembered.

    ``files``: where they were looked for, as shown in messages, those that do not exist included.
    """

    def __init__(
        self,
        *,
        root: Path,
        files: Iterable[Path],
        environ: Mapping[str, str],
        run_commands: bool,
    ) -> None:
        self._root = root
        self._environ = environ
        self._run_commands = run_commands
        self._known: dict[tuple[str, int], str] = {}
        self._literals: dict[str, Secret] = {}
        self._entries: dict[str, dotenv.Entry] = {}
        self._by_file: dict[str, dict[str, list[dotenv.Entry]]] = {}
        self.files = tuple(os.path.relpath(file, root) for file in files)
        for shown in self.files:
            if (root / shown).exists():
                self._read(shown)

    def _read(self, shown: str) -> None:
        mine = self._by_file.setdefault(shown, {})
        try:
            for entry in dotenv.parse(read_text(self._root / shown, shown), shown):
                mine.setdefault(entry.name, []).append(entry)
                self._entries[entry.name] = entry
        except dotenv.Malformed as error:
            raise ConfigError(
                "this line is neither NAME=value nor a comment", where=f"{shown}:{error.line}"
            ) from error

    # ------------------------------------------------------------------ values

    def find(self, name: str) -> Secret | None:
        """The value of a name in the secrets files, or None.

        Raises
        ------
        ConfigError
            Its command failed.
        """
        entry = self._entries.get(name)
        return Secret(self._evaluate(entry)) if entry else None

    def require(self, name: str, *, where: str, key: str, what: str) -> Secret:
        """The value of a name in the secrets files; ``what`` says who needs it.

        Raises
        ------
        SecretMissing
            None of the files has it.
        """
        if (value := self.find(name)) is not None:
            return value
        raise self._missing(name, where, key, what)

    def url(self, name_or_url: str, *, where: str, key: str) -> Secret:
        """A URL, as it is or by the name of a secret or of an environment variable.

        Raises
        ------
        SecretMissing
            Nothing has this name.
        ConfigError
            Its value comes from a command that was not run.
        """
        if "://" in name_or_url:
            return self._remember(Secret(name_or_url), key)
        entry = self._entries.get(name_or_url)
        if entry is not None:
            if pending := self.pending(name_or_url):
                raise ConfigError(
                    f"{name_or_url} is needed, and its value comes from a command that was not "
                    f"run: {pending[0]}",
                    where=where,
                    key=key,
                    next="add --allow-erb-commands",
                )
            return self._remember(Secret(self._evaluate(entry)), name_or_url)
        if value := self._environ.get(name_or_url):
            return self._remember(Secret(value), name_or_url)
        raise self._missing(name_or_url, where, key, "a database", environment=True)

    def _remember(self, url: Secret, name: str) -> Secret:
        self._literals[name] = url
        try:
            password = urlsplit(url.reveal()).password
        except ValueError:
            password = None
        if password:
            self._literals[f"{name} (password)"] = Secret(password)
            self._literals[f"{name} (password, decoded)"] = Secret(unquote(password))
        return url

    def remember(self, name: str, value: Secret) -> None:
        """A secret that does not come from a secrets file, to be masked as well."""
        self._literals[name] = value

    def _missing(
        self, name: str, where: str, key: str, what: str, *, environment: bool = False
    ) -> SecretMissing:
        there = [file for file in self.files if file in self._by_file]
        absent = [file for file in self.files if file not in self._by_file]
        if there:
            looked = f"is not in {' or '.join(there)}"
            if absent:
                looked += f" (no such file: {', '.join(absent)})"
        else:
            looked = f"has no value: there is no secrets file ({', '.join(absent)})"
        if environment:
            looked += ", nor is it set in the environment"
        return SecretMissing(
            f"{what} needs the secret {name}, which {looked}",
            where=where,
            key=key,
            next=f"add a line {name}=… to {there[-1] if there else self.files[-1]}",
        )

    # ------------------------------------------------------------------ evaluation

    def _evaluate(self, entry: dotenv.Entry) -> str:
        place = (entry.file, entry.line)
        if place not in self._known:
            self._known[place] = entry.evaluate(
                lambda name: self._variable(name, entry), lambda command: self._run(command, entry)
            )
        return self._known[place]

    def _variable(self, name: str, user: dotenv.Entry) -> str:
        """As in the gem: the value written *above* in the same file, else the environment's."""
        before = self._above(name, user)
        return self._evaluate(before) if before else self._environ.get(name, "")

    def _above(self, name: str, user: dotenv.Entry) -> dotenv.Entry | None:
        mine = self._by_file[user.file].get(name, ())
        return next((entry for entry in reversed(mine) if entry.line < user.line), None)

    def _run(self, command: str, entry: dotenv.Entry) -> str:
        if not self._run_commands:
            return f"[not run: {command}]"
        from pilotage.vaults import is_ours

        if is_ours(command):
            return self._answer(command, entry)
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self._root,
            env=dict(self._environ),
            stdout=subprocess.PIPE,
            check=False,
        )
        if done.returncode != 0:
            written = entry.commands[0] if entry.commands else "its command"
            raise ConfigError(
                f"{entry.name}: `{written}` ended with exit status {done.returncode}",
                where=f"{entry.file}:{entry.line}",
                key=entry.name,
            )
        return done.stdout.decode("utf-8", "replace")

    def _answer(self, command: str, entry: dotenv.Entry) -> str:
        """`kamal secrets …`, without Kamal."""
        from pilotage.vaults import answer

        try:
            return answer(command, self._environ, terminal=os.isatty(0))
        except ConfigError as error:
            error.what = f"{entry.name}: {error.what}"
            error.where, error.key = f"{entry.file}:{entry.line}", entry.name
            raise

    # ------------------------------------------------------------------ what is known

    def pending(self, name: str) -> tuple[str, ...]:
        """The commands behind a name that were not run, each as ``file:line: command``."""
        entry = self._entries.get(name)
        if self._run_commands or entry is None:
            return ()
        return tuple(self._pending(entry))

    def _pending(self, entry: dotenv.Entry) -> Iterable[str]:
        for name in sorted(entry.names):
            if before := self._above(name, entry):
                yield from self._pending(before)
        for command in entry.commands:
            yield f"{entry.file}:{entry.line}: {command}"

    def not_run(self) -> tuple[str, ...]:
        """All commands of the secrets files that were not run."""
        if self._run_commands:
            return ()
        return tuple(
            dict.fromkeys(
                f"{entry.file}:{entry.line}: {command}"
                for entry in self._entries.values()
                for command in entry.commands
            )
        )

    def all(self) -> dict[str, Secret]:
        """Every secret of the files, by name: what a hook gets. Their commands are run where they may be.

        Raises
        ------
        ConfigError
            A command failed.
        """
        names = [n for n in self._entries if self._run_commands or not self.pending(n)]
        return {name: Secret(self._evaluate(self._entries[name])) for name in names}

    def known(self) -> dict[str, Secret]:
        """Every secret whose value is known without running a command now, for masking."""
        values = dict(self._literals)
        for name, entry in self._entries.items():
            waits = tuple(self._pending(entry))
            evaluated = (entry.file, entry.line) in self._known
            if not waits or (evaluated and self._run_commands):
                values[name] = Secret(self._evaluate(entry))
        return {name: value for name, value in values.items() if value}
