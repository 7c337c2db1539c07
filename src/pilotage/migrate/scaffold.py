"""The text and the name of a new migration file: ``pilotage migrate new``. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

_TEMPLATE = """\
-- {title}

-- expand
-- What the new code needs, and running code does not mind: new tables, columns that may be NULL or have
-- a default, indexes, triggers.


-- The sections below are optional: take the first two dashes of their lines away, or delete them.
--
-- -- backfill
-- -- Runs in batches until it changes no row; after expand, and again before contract.
-- UPDATE … SET new = old WHERE new IS DISTINCT FROM old;
--
-- -- verify
-- -- Must return no row, or contract does not run.
-- SELECT … WHERE new IS DISTINCT FROM old LIMIT 5;
--
-- -- contract
-- -- What only older code used. Runs when it is proven that none of it is left; there is no way back.
-- ALTER TABLE … DROP COLUMN old;
--
-- -- down
-- -- Takes the expand half back: `pilotage migrate down {version}`.
"""


def text(title: str, version: str) -> str:
    """The file's first content. It holds no SQL yet, which the loader says until it does."""
    return _TEMPLATE.format(title=title.strip(), version=version)


def slug(title: str) -> str:
    """What stands after the version in the file's name.

    >>> slug("Add an e-mail to  users"), slug("Größe")
    ('add_an_e_mail_to_users', 'größe')

    Raises
    ------
    ValueError
        Nothing is left of it.
    """
    name = re.sub(r"\W+", "_", title.strip().lower()).strip("_")
    if not name:
        raise ValueError(f"{title!r} has no letter and no digit")
    return name


def next_version(now: float, taken: Iterable[str]) -> str:
    """``YYYYMMDDHHMMSS`` in UTC, and later than every version there is.

    >>> next_version(0, []), next_version(0, ["20260101000000"])
    ('19700101000000', '20260101000001')

    Folders with short versions (``0041``) go on as they began.

    >>> next_version(1e9, ["0040", "0041"])
    '0042'
    """
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d%H%M%S")
    known = list(taken)
    if not known:
        return stamp
    last = max(known, key=int)
    if len(last) < len(stamp):
        return str(int(last) + 1).zfill(len(last))
    return max(stamp, str(int(last) + 1), key=int)
