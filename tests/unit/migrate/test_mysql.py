"""MySQL's text: where statements end, what they do, and which of them are told not to block."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotage.errors import MigrationFileError
from pilotage.migrate import sql
from pilotage.migrate.loader import parse_migration
from pilotage.migrate.sql import SqlError, change, grammar

MYSQL = grammar("mysql")


def texts(text: str) -> list[str]:
    return [statement.text for statement in MYSQL.split(text)]


TRIGGER = "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW"
PROCEDURE = """CREATE PROCEDURE p(IN a int, OUT b varchar(3)) COMMENT 'x;y' READS SQL DATA
BEGIN
  DECLARE done INT DEFAULT FALSE;
  DECLARE c CURSOR FOR SELECT id FROM t;
  DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = TRUE;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; END;
  l: LOOP
    FETCH c INTO a;
    IF done THEN LEAVE l; ELSEIF a THEN SET b = 1; ELSE IF b THEN SET b = 2; END IF; END IF;
    SET b = CASE a WHEN 1 THEN 'x' ELSE 'y' END;
    CASE a WHEN 1 THEN SET b = 1; ELSE BEGIN END; END CASE;
  END LOOP l;
  WHILE a > 0 DO SET a = a - 1; END WHILE;
  REPEAT SET a = a + 1; UNTIL a > 5 END REPEAT;
  SELECT REPEAT('a', 3), IF(a, b, 1) INTO b FROM t WHERE t.end = 1 FOR UPDATE;
END"""


@pytest.mark.parametrize(
    "statement",
    [
        'select \';\\\';\' , ";"";", `;``;`',
        "select 1 -- ; \n + 2 # ;\n + /* ; */ 3",
        "select /*! straight_join ; */ 1".replace(" ;", ""),
        f"{TRIGGER} SET NEW.a = IF(NEW.b, 1, 2)",
        f"{TRIGGER} BEGIN SET NEW.a = 1; SET NEW.b = 2; END",
        f"{TRIGGER} FOLLOWS other IF EXISTS (SELECT 1) THEN SET @a = 1; END IF",
        f"{TRIGGER.replace('CREATE', 'CREATE DEFINER=`a;b`@`%`')} BEGIN SET NEW.a = 1; END",
        PROCEDURE,
        "CREATE FUNCTION f(a int) RETURNS int DETERMINISTIC RETURN IF(a > 1, 2, 3)",
        "CREATE FUNCTION f(a int) RETURNS int RETURN CASE WHEN a THEN 1 ELSE 2 END",
        "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO BEGIN DELETE FROM t; DELETE FROM u; END",
        "CREATE TABLE event (begin int, trigger_id int, `end` int)",
        "ALTER TABLE t ADD COLUMN event int, ADD COLUMN loop_id int",
        "BEGIN NOT ATOMIC SELECT 1; SELECT 2; END",
        "FOR i IN 1..10 DO INSERT INTO t VALUES (i); END FOR",
        "UPDATE t SET begin = 1 WHERE begin = 2",
        "/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`b`*/ /*!50003 TRIGGER x BEFORE INSERT ON t FOR EACH"
        " ROW BEGIN SET @a = 1; END */",
    ],
)
def test_a_statement_stays_whole(statement: str) -> None:
    assert texts(f"{statement};\nselect 'next'") == [statement, "select 'next'"]
    assert texts(f"DELIMITER //\n{statement}//\nselect 1; //\nDELIMITER ;\nselect 'next';") == [
        statement,
        "select 1;",
        "select 'next'",
    ]


def test_a_delimiter_may_be_what_names_are_made_of() -> None:
    text = "DELIMITER $$\nCREATE PROCEDURE p() BEGIN SELECT 1; END$$\nSELECT 9$$\ndelimiter ;\nSELECT 1"
    assert texts(text) == ["CREATE PROCEDURE p() BEGIN SELECT 1; END", "SELECT 9", "SELECT 1"]


@pytest.mark.parametrize(
    "text", ["select 'a", "select /* a", f"{TRIGGER} BEGIN SELECT 1;", "/*! select 1"]
)
def test_what_is_never_closed_is_an_error(text: str) -> None:
    with pytest.raises(SqlError, match="never closed"):
        MYSQL.split(text)


def test_two_minus_signs_are_no_comment() -> None:
    assert texts("select 1--2; select 3 --\n;") == ["select 1--2", "select 3"]


def test_a_marker_inside_a_body_is_a_comment() -> None:
    text = (
        f"-- expand\n{TRIGGER}\nBEGIN\n-- contract\nUPDATE x SET a = 1;\n-- down\nEND;\n"
        "-- contract\nDROP TRIGGER a;\n"
    )
    read = parse_migration(text, path=Path("1_x.sql"), dialect="mysql")
    assert read.expand is not None
    assert read.contract is not None
    assert "UPDATE x" in read.expand.text
    assert read.contract.text.strip() == "DROP TRIGGER a;"
    assert read.down is None


def test_transactions_are_pilotages() -> None:
    for statement in ("BEGIN", "START TRANSACTION", "COMMIT", "ROLLBACK TO a", "SAVEPOINT a"):
        with pytest.raises(MigrationFileError, match="begins and ends the transactions"):
            parse_migration(f"{statement};", path=Path("1_x.sql"), dialect="mysql")
    assert sql.transaction_control("START SLAVE", "mysql") == ""


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("ALTER TABLE t ADD a int", "ALTER TABLE"),
        ("create unique index i on t (a)", "CREATE UNIQUE"),
        ("CREATE TEMPORARY TABLE t (i int)", ""),
        ("DROP TEMPORARY TABLE t", ""),
        ("TRUNCATE t", "TRUNCATE T"),
        ("CALL p()", "CALL"),
        ("EXECUTE s", "EXECUTE"),
        ("GRANT SELECT ON t TO a", "GRANT SELECT"),
        ("SET autocommit = 1", "SET autocommit"),
        ("SET PASSWORD = 'x'", "SET PASSWORD"),
        ("SET @a = 1", ""),
        ("INSERT INTO t VALUES (1)", ""),
        ("UPDATE t SET a = 1", ""),
        ("SELECT 1", ""),
    ],
)
def test_what_commits_by_itself(statement: str, expected: str) -> None:
    assert sql.commits(statement, "mysql") == expected


def read(statement: str) -> list[change.Change]:
    return list(sql.changes(statement, "mysql"))


def test_the_actions_of_an_alter_are_changes_of_their_own() -> None:
    found = read(
        "ALTER TABLE t ADD COLUMN A varchar(20) CHARACTER SET latin1 NOT NULL DEFAULT 'x' AFTER b,"
        " ADD INDEX i (a), ADD UNIQUE KEY u (a(10) DESC), DROP COLUMN C, RENAME COLUMN d TO e,"
        " ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES o (id), ADD CHECK (a > 1), ALTER b SET DEFAULT 5,"
        " DROP KEY j, DROP FOREIGN KEY k, RENAME TO `U`, ALGORITHM=INPLACE, LOCK = none"
    )
    assert [type(each).__name__ for each in found] == [
        "AddColumn", "CreateIndex", "AddConstraint", "DropColumn", "RenameColumn", "AddConstraint",
        "AddConstraint", "SetDefault", "Drop", "DropConstraint", "Rename",
    ]  # fmt: skip
    assert {(each.algorithm, each.lock) for each in found} == {("INPLACE", "NONE")}
    first = found[0]
    assert isinstance(first, change.AddColumn)
    assert first.column == change.Column(
        "a", "varchar(20)", not_null=True, default="'x'", position="after b", charset="latin1"
    )
    assert first.sql.startswith("ALTER TABLE t ADD COLUMN A varchar(20)")
    assert found[3] == change.DropColumn(
        table=change.Name(None, "t"), column="c", sql="ALTER TABLE t DROP COLUMN C",
        offset=found[3].offset, algorithm="INPLACE", lock="NONE",
    )  # fmt: skip


def test_a_column_that_is_written_anew_says_all_of_it() -> None:
    found = read("ALTER TABLE t MODIFY a enum('x', 'y') NOT NULL, CHANGE b c int DEFAULT 3")
    assert [type(each).__name__ for each in found] == [
        "AlterType", "SetNotNull", "DropDefault",
        "RenameColumn", "AlterType", "DropNotNull", "SetDefault",
    ]  # fmt: skip
    assert [each.restated for each in found] == [True, True, True, False, True, True, True]


@pytest.mark.parametrize(
    "statement",
    [
        "CALL p()",
        "EXECUTE s",
        "FROBNICATE t",
        "ALTER TABLE t FROB x",
        "BEGIN NOT ATOMIC SELECT 1; END",
    ],
)
def test_what_cannot_be_read_is_said(statement: str) -> None:
    assert isinstance(read(statement)[0], change.Opaque)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("ALTER TABLE t ADD algorithm int", "ALTER TABLE t LOCK=NONE, ADD algorithm int"),
        ("ALTER TABLE a.t ORDER BY b", "ALTER TABLE a.t LOCK=NONE, ORDER BY b"),
        ("CREATE INDEX i ON t (a)", "CREATE INDEX i ON t (a) LOCK=NONE"),
        ("ALTER TABLE t FORCE", "ALTER TABLE t LOCK=NONE, FORCE"),
        ("ALTER TABLE t MODIFY a int, LOCK=DEFAULT", "ALTER TABLE t MODIFY a int, LOCK=NONE"),
        (
            "ALTER TABLE t MODIFY a int, ALGORITHM=DEFAULT",
            "ALTER TABLE t LOCK=NONE, MODIFY a int, ALGORITHM=DEFAULT",
        ),
        (
            "ALTER TABLE t ADD FULLTEXT (a), ALGORITHM=INPLACE",
            "ALTER TABLE t LOCK=NONE, ADD FULLTEXT (a), ALGORITHM=INPLACE",
        ),
        (
            "CREATE INDEX i ON t (a) ALGORITHM=INPLACE LOCK = DEFAULT",
            "CREATE INDEX i ON t (a) ALGORITHM=INPLACE LOCK = NONE",
        ),
        ("ALTER TABLE t PARTITION BY HASH (a)", "ALTER TABLE t LOCK=NONE PARTITION BY HASH (a)"),
        ("ALTER TABLE t ADD SYSTEM VERSIONING", "ALTER TABLE t LOCK=NONE, ADD SYSTEM VERSIONING"),
        (
            "ALTER TABLE t DISABLE KEYS, MODIFY a int",
            "ALTER TABLE t LOCK=NONE, DISABLE KEYS, MODIFY a int",
        ),
        ("DROP INDEX `PRIMARY` ON a.t", "ALTER TABLE a.t DROP PRIMARY KEY, LOCK=NONE"),
        ("DROP INDEX i ON t", None),  # never copied; and MariaDB knows no clause there
        ("ALTER TABLE t ADD a int, ALGORITHM=COPY", None),
        ("ALTER TABLE t ADD a int, ALGORITHM=INSTANT", None),
        ("ALTER TABLE t ADD a int, LOCK=SHARED", None),
        ("ALTER TABLE t LOCK=SHARED PARTITION BY HASH (a)", None),
        ("ALTER TABLE t DISABLE KEYS", None),
        ("ALTER TABLE t RENAME TO u", None),
        ("ALTER TABLE t DROP PARTITION p", None),
        ("CREATE TABLE t (a int)", None),
        ("UPDATE t SET a = 1", None),
    ],
)
def test_what_does_not_say_how_is_told_not_to_block(statement: str, expected: str | None) -> None:
    assert MYSQL.guarded(statement) == (expected or statement)


@pytest.mark.parametrize(
    ("statement", "only_reads"),
    [
        ("SELECT 1", True),
        ("WITH a AS (SELECT 1) SELECT * FROM a", True),
        ("SELECT 1 INTO OUTFILE 'x'", False),
        ("SELECT * FROM t FOR UPDATE", False),
        ("DELETE FROM t RETURNING a", False),
    ],
)
def test_what_only_reads(statement: str, only_reads: bool) -> None:
    assert sql.is_query(statement, "mysql") is only_reads
