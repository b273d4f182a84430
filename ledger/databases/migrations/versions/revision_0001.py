"""The first tables: entries, signers, tiles, checkpoints, head; entries are append-only."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from inbond.schemas.errors import Conflict

revision, down_revision, branch_labels, depends_on = "0001", None, None, None

_BYTES, _TEXT, _NUMBER = "blob", "text", "integer"
_TABLES = {
    "entries": {
        "seq": _NUMBER,
        "kind": _TEXT,
        "header_id": _BYTES,
        "payload_sha": _BYTES,
        "prev": _BYTES,
        "leaf": _BYTES,
        "data": _BYTES,
    },
    "signers": {"seq": _NUMBER, "keyid": _BYTES},
    "tiles": {"level": _NUMBER, "n": _NUMBER, "data": _BYTES},
    "checkpoints": {"size": _NUMBER, "note": _BYTES},
    "head": {
        "id": _NUMBER,
        "size": _NUMBER,
        "root": _BYTES,
        "leaf": _BYTES,
        "time": _TEXT,
        "frontier": _BYTES,
        "note": _BYTES,
    },
}
_KEYS = {"entries": ["seq"], "signers": ["seq", "keyid"], "tiles": ["level", "n"], "checkpoints": ["size"], "head": ["id"]}
_UNIQUE = {"entries": ["header_id", "prev"]}
_SAID = "entries are append-only"


def upgrade() -> None:
    """Make them."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    types: dict[str, Any] = {
        _BYTES: sa.LargeBinary(),
        _TEXT: sa.String() if sqlite else sa.String(collation="C"),
        _NUMBER: sa.Integer() if sqlite else sa.BigInteger(),
    }
    for name, columns in _TABLES.items():
        op.create_table(
            name,
            *(sa.Column(column, types[kind], nullable=False, autoincrement=False) for column, kind in columns.items()),
            sa.PrimaryKeyConstraint(*_KEYS[name]),
            *(sa.UniqueConstraint(column) for column in _UNIQUE.get(name, ())),
            *(sa.CheckConstraint(f"typeof(\"{column}\") IN ('{kind}')") for column, kind in columns.items() if sqlite),
        )
    op.create_index("ix_entries_kind", "entries", ["kind"])
    op.create_index("ix_signers_keyid_seq", "signers", ["keyid", "seq"])
    for statement in _sqlite() if sqlite else _postgresql():
        op.execute(statement)


def downgrade() -> None:
    """Drop them, where there is no entry."""
    bind = op.get_bind()
    count = bind.execute(sa.text("SELECT count(*) FROM entries")).scalar_one()
    if count:
        raise Conflict(f"expected no entries in a ledger that is taken apart, found {count}")
    for name in reversed(_TABLES):
        op.drop_table(name)
    if bind.dialect.name != "sqlite":
        op.execute("DROP FUNCTION inbond_append_only()")


def _sqlite() -> list[str]:
    return [
        f"\nCREATE TRIGGER entries_no_{verb.lower()} BEFORE {verb} ON entries\nBEGIN SELECT RAISE(ABORT, '{_SAID}'); END\n"
        for verb in ("UPDATE", "DELETE")
    ]


def _postgresql() -> list[str]:
    body = f"BEGIN RAISE EXCEPTION '{_SAID}'; END"
    made = [f"CREATE FUNCTION inbond_append_only() RETURNS trigger LANGUAGE plpgsql AS $${body}$$"]
    for verb in ("UPDATE", "DELETE", "TRUNCATE"):
        name = f"entries_no_{verb.lower()}"
        made.append(f"CREATE TRIGGER {name} BEFORE {verb} ON entries FOR EACH STATEMENT EXECUTE FUNCTION inbond_append_only()")
        made.append(f"ALTER TABLE entries ENABLE ALWAYS TRIGGER {name}")
    return made
