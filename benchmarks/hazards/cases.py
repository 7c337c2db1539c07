"""A bad statement for each rule in squawk's documentation, with the rule's name, on tables that exist.

`ON` makes these tables, so that the same statements can be judged with a catalogue. ``harm`` says what a
case endangers: ``lock`` is harmless on a table that is new or empty, ``code`` never is, ``style`` is a
matter of taste in a new table, and ``run`` fails when it runs.
"""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """A rule of squawk and SQL that it is about."""

    rule: str
    harm: str
    sql: str


ON = """\
CREATE TYPE status AS ENUM ('new');
CREATE TABLE base (id bigint);
CREATE TABLE account (
    id bigint PRIMARY KEY, email text, age int, balance numeric, state status DEFAULT 'new',
    nickname text, user_id bigint
) PARTITION BY LIST (id);
CREATE TABLE recipe (id bigint PRIMARY KEY, public boolean, age int, balance numeric, email text, user_id bigint);
CREATE INDEX email_idx ON recipe (email);
"""

CASES = (
    Case("adding-field-with-default", "lock", "ALTER TABLE recipe ADD COLUMN token uuid DEFAULT gen_random_uuid();"),
    Case("adding-foreign-key-constraint", "lock", "ALTER TABLE recipe ADD CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES base (id);"),
    Case("adding-not-nullable-field", "code", "ALTER TABLE recipe ALTER COLUMN public SET NOT NULL;"),
    Case("adding-required-field", "code", "ALTER TABLE recipe ADD COLUMN shown boolean NOT NULL;"),
    Case("adding-serial-primary-key-field", "lock", "ALTER TABLE base ADD COLUMN b serial PRIMARY KEY;"),
    Case("ban-alter-domain-with-add-constraint", "lock", "ALTER DOMAIN price ADD CONSTRAINT positive CHECK (VALUE > 0);"),
    Case("ban-char-field", "style", "CREATE TABLE person (id bigint PRIMARY KEY, name char(100) NOT NULL);"),
    Case("ban-concurrent-index-creation-in-transaction", "run", "BEGIN;\nCREATE INDEX CONCURRENTLY age_idx ON recipe (age);\nCOMMIT;"),
    Case("ban-create-domain-with-constraint", "style", "CREATE DOMAIN price AS numeric(15, 5) CHECK (VALUE > 0);"),
    Case("ban-drop-column", "code", "ALTER TABLE recipe DROP COLUMN email;"),
    Case("ban-drop-constraint", "code", "ALTER TABLE recipe DROP CONSTRAINT nickname_unique;"),
    Case("ban-drop-database", "code", "DROP DATABASE shop;"),
    Case("ban-drop-default", "code", "ALTER TABLE account ALTER COLUMN state DROP DEFAULT;"),
    Case("ban-drop-domain", "code", "DROP DOMAIN price;"),
    Case("ban-drop-extension", "code", "DROP EXTENSION hstore;"),
    Case("ban-drop-function", "code", "DROP FUNCTION total(int);"),
    Case("ban-drop-index", "lock", "DROP INDEX email_idx;"),
    Case("ban-drop-not-null", "code", "ALTER TABLE recipe ALTER COLUMN email DROP NOT NULL;"),
    Case("ban-drop-policy", "code", "DROP POLICY own ON recipe;"),
    Case("ban-drop-schema", "code", "DROP SCHEMA app CASCADE;"),
    Case("ban-drop-sequence", "code", "DROP SEQUENCE recipe_id_seq;"),
    Case("ban-drop-table", "code", "DROP TABLE recipe;"),
    Case("ban-drop-trigger", "code", "DROP TRIGGER audit ON recipe;"),
    Case("ban-drop-type", "code", "DROP TYPE status;"),
    Case("ban-drop-view", "code", "DROP VIEW active;"),
    Case("ban-truncate-cascade", "code", "TRUNCATE recipe CASCADE;"),
    Case("ban-uncommitted-transaction", "run", "BEGIN;\nSELECT 1;"),
    Case("ban-add-enum-value", "code", "ALTER TYPE status ADD VALUE 'open' AFTER 'new';"),
    Case("ban-alter-extension", "code", "ALTER EXTENSION hstore UPDATE;"),
    Case("ban-alter-row-level-security", "code", "ALTER TABLE recipe ENABLE ROW LEVEL SECURITY;"),
    Case("ban-detach-inheritance", "code", "ALTER TABLE recipe NO INHERIT base;"),
    Case("ban-replace-view-function", "code", "CREATE OR REPLACE VIEW active AS SELECT 1 AS id;"),
    Case("ban-revoke", "code", "REVOKE SELECT ON recipe FROM app;"),
    Case("ban-set-default", "code", "ALTER TABLE recipe ALTER COLUMN email SET DEFAULT 'x';"),
    Case("ban-set-schema", "code", "ALTER TABLE recipe SET SCHEMA app;"),
    Case("changing-column-type", "code", "ALTER TABLE recipe ALTER COLUMN age TYPE bigint;"),
    Case("constraint-missing-not-valid", "lock", "ALTER TABLE recipe ADD CONSTRAINT positive CHECK (balance >= 0);"),
    Case("disallowed-unique-constraint", "lock", "ALTER TABLE recipe ADD CONSTRAINT email_unique UNIQUE (email);"),
    Case("identifier-too-long", "run", f"ALTER TABLE recipe ADD COLUMN {'a' * 70} text;"),
    Case("prefer-bigint-over-int", "style", "CREATE TABLE post (id bigint PRIMARY KEY, likes int);"),
    Case("prefer-bigint-over-smallint", "style", "CREATE TABLE post (id bigint PRIMARY KEY, likes smallint);"),
    Case("prefer-identity", "style", "CREATE TABLE post (id serial PRIMARY KEY);"),
    Case("prefer-repack", "lock", "VACUUM FULL recipe;"),
    Case("prefer-text-field", "style", "CREATE TABLE post (id bigint PRIMARY KEY, url varchar(30) NOT NULL);"),
    Case("prefer-timestamp-tz", "style", "CREATE TABLE post (id bigint PRIMARY KEY, made timestamp NOT NULL);"),
    Case("renaming-column", "code", "ALTER TABLE recipe RENAME COLUMN email TO address;"),
    Case("renaming-object", "code", "ALTER VIEW active RENAME TO current_account;"),
    Case("renaming-table", "code", "ALTER TABLE recipe RENAME TO meal;"),
    Case("require-concurrent-index-creation", "lock", "CREATE INDEX age_idx ON recipe (age);"),
    Case("require-concurrent-index-deletion", "lock", "DROP INDEX email_idx;"),
    Case("require-concurrent-partition-detach", "code", "ALTER TABLE account DETACH PARTITION account_2020;"),
    Case("require-concurrent-reindex", "lock", "REINDEX INDEX email_idx;"),
    Case("require-enum-value-ordering", "run", "ALTER TYPE status ADD VALUE 'paid';"),
    Case("syntax-error", "run", "ALTER TABEL recipe;"),
    Case("transaction-nesting", "run", "BEGIN;\nBEGIN;\nSELECT 1;\nCOMMIT;"),
)  # fmt: skip
