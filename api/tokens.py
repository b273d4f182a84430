"""API tokens: who calls. A token says which party asks and in which roles; it signs nothing.

`inb_<8 hex digits>_<43 base62 digits>`: the first part names the token in lists and logs, the second is the secret, of
256 bits. `access.db` beside the ledger holds its SHA-256 only, so a token is shown once. A secret of that length needs no
slow hash.
"""

import hashlib
import hmac
import os
import re
import secrets
import sqlite3
import string
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, insert, select, update
from sqlalchemy.pool import NullPool
from sqlmodel import Field, SQLModel

from inbond.ledger.database import translated
from inbond.schemas.errors import InvalidInput, NotFound
from inbond.schemas.scalars import Role

FILE: Final = "access.db"
MONITOR: Final = "monitor"
"""Who reads the server's metrics and nothing that is somebody's: a role of tokens alone."""

TOKEN_ROLES: Final = (Role.PRODUCER, Role.TRAINER, Role.COMPLIANCE, Role.AUDITOR, Role.PROVIDER, Role.ADMIN, MONITOR)
"""The roles that callers have; registry and log are those of keys alone."""

_BASE62: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_TOKEN: Final = re.compile("inb_([0-9a-f]{8})_([0-9A-Za-z]{43})")


class TokenRow(SQLModel, table=True):
    """A token: SHA-256 of all of its text, whose it is, and until when. `roles` have spaces between them."""

    __tablename__ = "tokens"

    id: str = Field(primary_key=True)
    sha256: bytes
    party: str
    roles: str
    name: str | None = None
    created: str
    expires: str | None = None
    revoked: str | None = None


_tokens = SQLModel.metadata.tables["tokens"]


@dataclass(frozen=True, slots=True)
class Token:
    """A token on file; `expires` and `revoked` are times, None where it does not or was not."""

    id: str
    party: str
    roles: tuple[str, ...]
    name: str | None
    created: str
    expires: str | None
    revoked: str | None

    def in_force(self, at: str) -> bool:
        """Whether it may be used at a time."""
        return self.revoked is None and (self.expires is None or at < self.expires)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: by which token, for which party, in which roles."""

    token: str
    party: str
    roles: frozenset[str]


class TokenStore:
    """The tokens of one registry, in `access.db` in its folder. The file is made with the first token, for its owner only."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._engine: Engine = create_engine("sqlite://", creator=self._connect, poolclass=NullPool, isolation_level="AUTOCOMMIT")

    def add(self, party: str, roles: Iterable[str], *, days: int | None = None, name: str | None = None) -> tuple[str, Token]:
        """Make a token; returns its text, which nobody can read again, and what is on file."""
        wanted = tuple(dict.fromkeys(roles))
        if not wanted or set(wanted) - set(TOKEN_ROLES):
            raise InvalidInput(
                f"token: expected one or more roles among {', '.join(TOKEN_ROLES)}, found {', '.join(wanted) or 'none'}"
            )
        if days is not None and days < 1:
            raise InvalidInput(f"token: expected at least 1 day, found {days}")
        if name is not None and not name.isprintable():
            raise InvalidInput(f"token: expected a name of printable characters, found {name!r}")
        created = datetime.now(UTC)
        expires = None if days is None else _text(created + timedelta(days=days))
        id, secret = secrets.token_hex(4), "".join(secrets.choice(_BASE62) for _ in range(43))
        text = f"inb_{id}_{secret}"
        made = Token(id, party, wanted, name, _text(created), expires, None)
        with translated(self.path), self._writing() as connection:
            values = {"sha256": _hash(text), "party": party, "roles": " ".join(wanted), "name": name, "created": made.created}
            connection.execute(insert(_tokens), {"id": id, "expires": expires, "revoked": None, **values})
        return text, made

    def list(self) -> list[Token]:
        """Every token, oldest first."""
        if not self.path.is_file():
            return []
        with translated(self.path), self._engine.connect() as connection:
            rows = connection.execute(select(_tokens).order_by(_tokens.c.created, _tokens.c.id)).all()
        return [_token(row) for row in rows]

    def revoke(self, id: str) -> Token:
        """Revoke a token, for ever. Raises NotFound; once more changes nothing."""
        found = self._row(id)
        if found is None:
            raise NotFound(f"no token has the id {id!r}", hint="inbond token list")
        if found.revoked is None:
            with translated(self.path), self._engine.connect() as connection:
                changed = update(_tokens).where(_tokens.c.id == id, _tokens.c.revoked.is_(None))
                connection.execute(changed.values(revoked=_text(datetime.now(UTC))))
        return _token(self._row(id))

    def find(self, id: str) -> tuple[Token, bytes] | None:
        """A token and the SHA-256 of its text, None where there is none."""
        found = self._row(id)
        return None if found is None else (_token(found), found.sha256)

    def _row(self, id: str) -> Any:
        if not self.path.is_file():
            return None
        with translated(self.path), self._engine.connect() as connection:
            return connection.execute(select(_tokens).where(_tokens.c.id == id)).one_or_none()

    def _writing(self) -> Connection:
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = self._engine.connect()
        SQLModel.metadata.create_all(connection, tables=[_tokens])
        return connection

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=rw", uri=True, timeout=10, isolation_level=None)


def parse(text: str) -> str:
    """The id in a token's text. Raises InvalidInput for what is no token."""
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise InvalidInput("expected a token inb_<8 hex digits>_<43 letters and digits>")
    return match[1]


def matches(text: str, sha256: bytes) -> bool:
    """Whether a token's text has this hash; takes as long for one that nearly has it."""
    return hmac.compare_digest(_hash(text), sha256)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _token(row: Any) -> Token:
    return Token(row.id, row.party, tuple(row.roles.split()), row.name, row.created, row.expires, row.revoked)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:23] + "Z"
