"""Splitting: the author's own text, by the database's own rules."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotage.migrate.sql import SqlError, grammar, split
from pilotage.migrate.sql.token import line_of

POSTGRESQL = [
    "SELECT 1",
    "SELECT 'a;b -- no comment', \"c;d\"",
    "SELECT E'it\\'s; fine', U&'\\0061;', $$x;y$$, $tag$ $$;$$ $tag$",
    "INSERT INTO café VALUES ('ü;😀')",
    "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETURN 1; -- é\nEND\n$$",
    "CREATE FUNCTION g() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END",
    "DO $do$ BEGIN PERFORM 1; END $do$",
    "CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2)",
    "CREATE TABLE t (\n  a int, -- the first\n  b int /* ; /* nested ; */ */\n)",
]
SQLITE = [
    "SELECT 1",
    "SELECT 'a;b -- no comment', \"c;d\", [e;f], `g;h`, x'00', 'it''s;'",
    "INSERT INTO café VALUES ('ü;😀')",
    "CREATE TRIGGER x AFTER INSERT ON t BEGIN\n"
    "  UPDATE t SET a = CASE WHEN b THEN ';' END;\n  DELETE FROM u;\nEND",
    "CREATE TEMP TRIGGER y AFTER INSERT ON t BEGIN SELECT 1; END",
    "CREATE TABLE t (\n  a int, -- the first;\n  b int /* ; */\n)",
    "SELECT a->>'$.b' FROM t WHERE c = :name AND d = ?1",
]
BETWEEN = ["\n", " ", "\n-- a comment; with a semicolon\n", "/* ; é */", "\t\n\n", ";", " ;; "]

CASES = [("postgresql", sql) for sql in POSTGRESQL] + [("sqlite", sql) for sql in SQLITE]


@pytest.mark.parametrize(("dialect", "sql"), CASES)
def test_one_statement_is_itself(dialect: str, sql: str) -> None:
    for text in (sql, f"{sql};", f"-- before;\n{sql}; -- after;", f"  {sql} /* after */ ;"):
        statements = split(text, dialect)

        assert [statement.text for statement in statements] == [sql]
        assert statements[0].start == text.index(sql)


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite"])
@pytest.mark.parametrize("text", ["", " \n", "-- only a comment", "/* only */", ";;", "-- a\n;\n"])
def test_comments_alone_are_no_statement(dialect: str, text: str) -> None:
    assert split(text, dialect) == ()


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite"])
def test_lines_count_from_one(dialect: str) -> None:
    text = "-- é\nSELECT 1;\n\n/* a\nb */ SELECT\n2; SELECT 3"

    assert [statement.line for statement in split(text, dialect)] == [2, 5, 6]


@pytest.mark.parametrize(("dialect", "pool"), [("postgresql", POSTGRESQL), ("sqlite", SQLITE)])
@settings(deadline=None)
@given(data=st.data())
def test_no_text_of_an_author_is_lost(dialect: str, pool: list[str], data: st.DataObject) -> None:
    """Whatever stands between statements, each comes back letter by letter, from where it stood."""
    wanted = data.draw(st.lists(st.sampled_from(pool), max_size=6))
    gap = st.lists(st.sampled_from(BETWEEN), max_size=3).map("".join)
    text = data.draw(gap)
    for sql in wanted:
        text += sql + data.draw(st.sampled_from([";", " ;", "\n-- end\n;"])) + data.draw(gap)

    statements = split(text, dialect)

    assert [statement.text for statement in statements] == wanted
    end = 0
    for statement in statements:
        assert text[statement.start : statement.end] == statement.text
        assert statement.line == line_of(text, statement.start)
        assert only_filling(text[end : statement.start], dialect)
        end = statement.end
    assert only_filling(text[end:], dialect)


def only_filling(text: str, dialect: str) -> bool:
    """Whether it holds comments, space and semicolons alone."""
    return all(t.kind.comment or t.is_(";") for t in grammar(dialect).tokens(text))


@settings(deadline=None)
@given(st.lists(st.sampled_from([*"aé😀'\"`[]();-/*\n x1.$:@?", "--", "/*", "*/", "$$", "end"])))
def test_sqlites_tokens_lose_nothing(pieces: list[str]) -> None:
    text = "".join(pieces)
    try:
        tokens = grammar("sqlite").tokens(text)
    except SqlError:
        return  # what cannot be read is refused, which is another test

    end = 0
    for token in tokens:
        assert not text[end : token.start].strip(" \t\n\f\r")
        assert text[token.start : token.end] == token.text
        end = token.end
    assert not text[end:].strip(" \t\n\f\r")


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "'", '"', "`", "[", "]", ";", "--", "/*", "*/", "\n", " "])))
def test_sqlite_agrees_on_what_is_complete(pieces: list[str]) -> None:
    """Where our tokens end in ``;``, SQLite's own tokenizer calls the text complete, and else not."""
    text = "".join(pieces)
    try:
        tokens = grammar("sqlite").tokens(text)
    except SqlError:
        assert not sqlite3.complete_statement(text)
        return
    unclosed = (
        tokens and tokens[-1].text.startswith("/*") and not tokens[-1].text[2:].endswith("*/")
    )
    code = [token for token in tokens if not token.kind.comment]

    assert sqlite3.complete_statement(text) == bool(code and code[-1].is_(";") and not unclosed)


@settings(deadline=None)
@given(st.text(alphabet="aé😀ß'\";-/*\n $1.", max_size=40))
def test_postgresqls_positions_count_characters(text: str) -> None:
    try:
        tokens = grammar("postgresql").tokens(text)
    except SqlError:
        return  # what cannot be read is refused, which is another test
    for token in tokens:
        assert text[token.start : token.end] == token.text


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("SELECT 'é', ü frm x;", 1, 'syntax error at or near "x"'),
        ("SELECT '😀😀😀';\n\nSELEC 1;", 3, 'syntax error at or near "SELEC"'),
        ("SELECT 1;\nSELECT 'a", 2, "unterminated quoted string"),
        ("SELECT 1;\nSELECT $x$ a", 2, "unterminated dollar-quoted string"),
        ("/* a", 1, "unterminated /* comment"),
        ("SELECT (1;\nSELECT 2", 1, 'syntax error at or near ";"'),
        ("SELECT 1;\nSELECT 1 +", 2, "syntax error at end of input"),
    ],
)
def test_a_syntax_error_has_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(SqlError) as caught:
        split(text, "postgresql")

    assert caught.value.line == line
    assert says in caught.value.what


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("SELECT 1;\nSELECT 'a", 2, "the ' is never closed"),
        ("SELECT [a", 1, "the [ is never closed"),
        (
            "SELECT 1;\nCREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1;",
            2,
            "body is never closed",
        ),
    ],
)
def test_what_sqlite_cannot_read(text: str, line: int, says: str) -> None:
    with pytest.raises(SqlError) as caught:
        split(text, "sqlite")

    assert caught.value.line == line
    assert says in caught.value.what
