"""Kamal's options and words that pilotage has not: each is one error that says what to use instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from pilotage.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


def without(option: str, why: str, next: str, *, flag: bool = False) -> Callable[[F], F]:
    """Refuse an option of Kamal's. ``flag``: it takes no value."""

    def refuse(_ctx: click.Context, _param: click.Parameter, value: object) -> None:
        if value:
            raise UsageError(f"{option}: {why}", state="nothing was touched", next=next)

    return click.option(
        option, is_flag=flag or None, hidden=True, expose_value=False, callback=refuse
    )


class Group(click.Group):
    """``instead``: subcommands of Kamal's that there are not → what to use."""

    def __init__(self, *args: Any, instead: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instead = instead or {}

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, and for a word of Kamal's what is used instead."""
        if args[0] in self.instead:
            raise UsageError(
                f"there is no `{ctx.info_name} {args[0]}`",
                state="nothing was touched",
                next=self.instead[args[0]],
            )
        return super().resolve_command(ctx, args)
