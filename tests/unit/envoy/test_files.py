"""The files that Envoy watches: written when they say something new, and the way back."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from pilotage.errors import LeaseLost
from pilotage.proxy.envoy import EnvoySettings
from pilotage.proxy.envoy.docker import DockerPlace
from pilotage.proxy.envoy.files import EnvoyFiles
from pilotage.proxy.envoy.local import LocalPlace
from pilotage.proxy.envoy.names import path
from pilotage.proxy.envoy.scripts import EdgeContainer
from pilotage.shell.local import LocalShell

FIRST = [{"name": "one"}]
SECOND = [{"name": "two"}]


SETTINGS = EnvoySettings(Path("unused"), "here", 8080)


@pytest.fixture(params=["local", "docker"])
def folder(request, tmp_path, monkeypatch):
    """Where the files are: of this machine's edge, or of a Docker host's, whose scripts run here."""
    monkeypatch.setenv("HOME", str(tmp_path))
    found = tmp_path / ("proxy" if request.param == "local" else ".pilotage/shop/edge")
    found.mkdir(parents=True)
    return found


@pytest.fixture
def tell(folder, tmp_path):
    """Run a story with a function that reads the files anew, as the next command would."""

    def ignore(event):
        pass

    def place():
        if folder.name == "proxy":
            return LocalPlace(replace(SETTINGS, state_dir=tmp_path), ignore)
        return DockerPlace(LocalShell(), EdgeContainer("shop", ".pilotage/shop"), SETTINGS, ignore)

    async def told(story):
        async with contextlib.AsyncExitStack() as stack:

            async def read():
                await stack.aclose()  # the command before has come to its end
                made = place()
                if isinstance(made, DockerPlace):
                    stack.push_async_callback(made.close)
                async with made.hold(1) as held:
                    return await EnvoyFiles.read(held)

            await story(read)

    return lambda story: asyncio.run(told(story))


async def write(files, kind, resources, *, anew=False, keep=True):
    """As a change does: nothing where the file says the same already."""
    content = files.next(kind, resources, anew=anew)
    if content is not None:
        await files.write({kind: content}, keep=keep)
    return files.version(kind)


def test_a_file_is_written_when_it_says_something_new_and_can_be_taken_back(tell):
    async def story(read):
        files = await read()
        assert files.version("rds") is None
        assert files.resources("rds") == []
        first = await write(files, "rds", FIRST)
        assert first.startswith("1-")
        assert files.next("rds", FIRST) is None
        files.forget()
        second = await write(files, "rds", SECOND)
        assert second.startswith("2-")
        assert (await read()).resources("rds") == SECOND
        assert await files.restore() == {"rds": first}
        assert files.resources("rds") == FIRST
        assert (await read()).resources("rds") == FIRST

    tell(story)


def test_two_writes_of_one_change_are_taken_back_together_the_last_first(tell):
    async def story(read):
        files = await read()
        first = await write(files, "cds", FIRST)
        files.forget()
        await write(files, "cds", [*FIRST, *SECOND])
        await write(files, "rds", SECOND)
        await write(files, "cds", SECOND)
        assert list((await files.restore()).items()) == [("rds", None), ("cds", first)]
        assert (await read()).version("cds") == first
        assert await files.restore() == {}

    tell(story)


def test_a_file_that_was_not_there_is_taken_back(tell):
    async def story(read):
        files = await read()
        await write(files, "eds/one", FIRST)
        assert (await read()).version("eds/one") is not None
        assert await files.restore() == {"eds/one": None}
        assert path("eds/one") not in (await read()).contents

    tell(story)


def test_a_write_that_changed_nothing_takes_nothing_back(tell):
    async def story(read):
        files = await read()
        second = await write(files, "rds", SECOND)
        files.forget()
        assert await write(files, "rds", SECOND) == second
        assert await files.restore() == {}
        assert (await read()).version("rds") == second

    tell(story)


def test_the_same_is_written_anew_where_envoy_does_not_have_it(tell):
    async def story(read):
        files = await read()
        first = await write(files, "rds", FIRST)
        assert await write(files, "rds", FIRST, anew=True) != first

    tell(story)


def test_a_file_that_was_replaced_is_there_when_nothing_could_be_kept(tell, folder):
    async def story(read):
        files = await read()
        await write(files, "rds", FIRST)
        files.forget()
        await write(files, "rds", SECOND)
        (folder / "rds.previous.json").unlink()
        await files.restore()
        assert (await read()).resources("rds") == SECOND

    tell(story)


def test_what_no_cluster_and_no_gate_names_is_pruned(tell, folder):
    async def story(read):
        files = await read()
        await write(files, "eds/old", FIRST)
        await write(files, "cds", FIRST)
        for name in ("gate-old.sock", "admin.sock"):
            (folder / name).touch()
        files = await read()
        await files.prune()
        assert (await read()).names == files.names
        assert not (folder / "eds" / "old").exists()
        assert files.names == {"admin.sock", "cds/cds.json"}

    tell(story)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version_info": 1}'])
def test_a_file_that_somebody_broke_is_replaced(tell, folder, text):
    async def story(read):
        await write(await read(), "rds", FIRST)
        (folder / path("rds")).write_text(text)
        files = await read()
        assert files.version("rds") is None
        await write(files, "rds", FIRST)
        assert (await read()).resources("rds") == FIRST

    tell(story)


@pytest.mark.parametrize("page", ["x" * 1_000_000, "ü'\"$`\\n\x1f" * 20_000, "\t%s\\n"])
def test_a_page_of_any_size_and_letters_comes_back(tell, page):
    async def story(read):
        await write(await read(), "rds", [{"name": page}])
        assert (await read()).resources("rds") == [{"name": page}]

    tell(story)


def test_several_files_are_written_and_taken_back_together(tell):
    async def story(read):
        await write(await read(), "cds", FIRST)
        files = await read()
        contents = {kind: files.next(kind, SECOND) for kind in ("eds/new", "cds", "rds")}
        await files.write(contents)
        assert {kind: (await read()).resources(kind) for kind in contents} == dict.fromkeys(
            contents, SECOND
        )
        await files.restore()
        left = await read()
        assert left.resources("cds") == FIRST
        assert set(left.contents) == {path("cds")}

    tell(story)


@pytest.mark.parametrize("folder", ["docker"], indirect=True)
def test_who_was_overtaken_writes_nothing_more(tell):
    async def story(read):
        slow, quick = await read(), await read()
        await write(quick, "rds", FIRST)
        for change in (
            write(slow, "rds", SECOND),
            slow.place.restore({path("rds"): None}),
            slow.place.destroy(),
        ):
            with pytest.raises(LeaseLost):
                await change
        await slow.place.delete([path("rds")])
        await slow.place.place.close()
        assert not slow.place.known
        await write(quick, "cds", SECOND)
        assert (await read()).resources("rds") == FIRST
        assert (await read()).resources("cds") == SECOND

    tell(story)
