"""Globs over paths of a project: ``*`` and ``?`` within a folder, ``**`` for any folders, ``[0-9]``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable


def matcher(globs: Iterable[str]) -> Callable[[str], bool]:
    """Whether a path (with ``/``, from the project's folder) matches any of the globs.

    A glob without a slash is matched with the file's name, wherever the file is; one that ends with a
    slash matches whatever is below that folder.
    """
    patterns = [(re.compile(_translated(glob)), "/" in glob) for glob in globs]

    def matches(path: str) -> bool:
        name = path.rpartition("/")[2]
        return any(pattern.fullmatch(path if whole else name) for pattern, whole in patterns)

    return matches


def _translated(glob: str) -> str:
    glob = glob.removeprefix("./")
    if glob.endswith("/"):
        glob += "**"
    out, index = "", 0
    while index < len(glob):
        if glob.startswith("**/", index):
            out, index = out + "(?:.*/)?", index + 3
        elif glob.startswith("**", index):
            out, index = out + ".*", index + 2
        elif glob[index] == "[" and (end := glob.find("]", index + 2)) > 0:
            inside = glob[index + 1 : end].replace("\\", "\\\\")
            inside = f"^{inside[1:]}" if inside.startswith("!") else inside
            out, index = f"{out}[{inside}]", end + 1
        else:
            one = {"*": "[^/]*", "?": "[^/]"}.get(glob[index])
            out, index = out + (one or re.escape(glob[index])), index + 1
    return out
