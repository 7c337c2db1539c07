"""The names that PostgreSQL gives to what an author left without one."""

from __future__ import annotations

_LONGEST = 63  # bytes; NAMEDATALEN - 1


def default_name(table: str, columns: str, label: str) -> str:
    """``table_columns_label``, cut as the server cuts it: the longer of the first two parts first.

    The server would go on to ``…1`` where the name is taken; here the statement fails then, and asks for
    a name.
    """
    first, second = table.encode(), columns.encode()
    left = _LONGEST - len(label) - 1 - bool(second)
    one, two = len(first), len(second)
    while one + two > left:
        if one > two:
            one -= 1
        else:
            two -= 1
    parts = (first[:one].decode(errors="ignore"), second[:two].decode(errors="ignore"), label)
    return "_".join(part for part in parts if part)
