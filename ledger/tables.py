"""The ledger's tables. Declarations only: queries and writes are SQLAlchemy Core.

`entries` is append-only, which triggers hold (database.py). Everything else here can be made again from the entries and
the log key, and an audit does so and compares.
"""

from sqlalchemy import Column, Index, LargeBinary
from sqlmodel import Field, SQLModel


class EntryRow(SQLModel, table=True):
    """One entry: its bytes, and what is looked up by index. `leaf` is the RFC 6962 hash of `data`."""

    __tablename__ = "entries"

    seq: int = Field(primary_key=True)
    kind: str = Field(index=True)
    header_id: bytes = Field(unique=True)
    payload_sha: bytes
    prev: bytes = Field(unique=True)
    leaf: bytes
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class SignerRow(SQLModel, table=True):
    """Which key signed which entry."""

    __tablename__ = "signers"
    __table_args__ = (Index("ix_signers_keyid_seq", "keyid", "seq"),)

    seq: int = Field(primary_key=True)
    keyid: bytes = Field(primary_key=True)


class TileRow(SQLModel, table=True):
    """Tile `n` of `level`: up to 256 hashes of 32 bytes, growing from the left until it is full."""

    __tablename__ = "tiles"

    level: int = Field(primary_key=True)
    n: int = Field(primary_key=True)
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class CheckpointRow(SQLModel, table=True):
    """Every checkpoint that was signed, as the signed note."""

    __tablename__ = "checkpoints"

    size: int = Field(primary_key=True)
    note: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class HeadRow(SQLModel, table=True):
    """The one row that every write locks: the newest state of chain and tree. `frontier` is the compact range."""

    __tablename__ = "head"

    id: int = Field(primary_key=True)
    size: int
    root: bytes
    leaf: bytes
    time: str
    frontier: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    note: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


entries, signers, tiles, checkpoints, head = (
    SQLModel.metadata.tables[name] for name in ("entries", "signers", "tiles", "checkpoints", "head")
)
TABLES = [entries, signers, tiles, checkpoints, head]
