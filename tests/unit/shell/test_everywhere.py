"""What failed on several hosts is one error."""

from __future__ import annotations

import asyncio

import pytest

from pilotage.errors import HostLost, ProxyError, TargetError
from pilotage.shell.everywhere import everywhere


async def says(error: Exception | None, *, after: float = 0.0) -> str:
    await asyncio.sleep(after)
    if error:
        raise error
    return "done"


def full(host: str) -> TargetError:
    return TargetError("the disk is full", where=host, state="nothing was pulled", next="prune")


async def test_what_came_of_it_on_each_host() -> None:
    assert await everywhere({"a": says(None), "b": says(None)}, failed="no") == {
        "a": "done",
        "b": "done",
    }


async def test_one_host_says_it_itself() -> None:
    error = HostLost("the link broke", where="b")
    with pytest.raises(HostLost) as caught:
        await everywhere({"a": says(None), "b": says(error)}, failed="no")
    assert caught.value is error


async def test_every_host_is_named_with_its_reason_and_equal_ones_once() -> None:
    lost = HostLost("the link broke", where="b", state="nothing was pulled", next="look at b")
    with pytest.raises(TargetError) as caught:
        await everywhere(
            {
                "a": says(full("a")),
                "b": says(lost, after=0.01),
                "c": says(full("c"), after=0.02),
                "d": says(None),
            },
            failed="acme/shop:1 could not be had",
        )
    assert str(caught.value) == (
        "a, b, c: acme/shop:1 could not be had on 3 of 4 hosts:\n"
        "    a, c: the disk is full\n"
        "    b: the link broke\n"
        "  state: nothing was pulled\n"
        "  next:  prune; look at b"
    )


async def test_what_all_say_is_said_once() -> None:
    with pytest.raises(TargetError) as caught:
        await everywhere({name: says(full(name)) for name in ("a", "b")}, failed="no")
    assert str(caught.value) == (
        "a, b: the disk is full\n  state: nothing was pulled\n  next:  prune"
    )


async def test_a_door_that_says_no_hides_no_host() -> None:
    said = ProxyError("the door says no", where="b")
    with pytest.raises(TargetError, match="no on 2 of 2 hosts") as caught:
        await everywhere({"a": says(full("a")), "b": says(said)}, failed="no")
    assert caught.value.where == "a, b"
    with pytest.raises(ProxyError) as alone:
        await everywhere({"a": says(None), "b": says(said)}, failed="no")
    assert alone.value is said


async def test_what_is_no_error_of_a_host_is_not_hidden_among_them() -> None:
    with pytest.raises(ZeroDivisionError):
        await everywhere({"a": says(full("a")), "b": says(ZeroDivisionError())}, failed="no")
