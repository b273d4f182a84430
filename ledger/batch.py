"""The statements of one transaction as they become entries: admitted, chained, projected, and put into the tree.

The log writes with this and an audit replays with it, so both ask the same questions in the same order. What a batch
promises is argued in log.py.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from inbond.ledger import merkle, tables
from inbond.ledger.entries import parse_entry
from inbond.ledger.keyring import Keyring
from inbond.ledger.reader import stored_tile
from inbond.ledger.replay import resolve_signer
from inbond.ledger.rules import Draft, Rules
from inbond.ledger.submission import Submission
from inbond.ledger.tiles import node_reader, updated_tiles
from inbond.schemas.entry import GENESIS_PREV
from inbond.schemas.errors import Conflict, InvalidInput, VerificationError

RootAt = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Appended:
    """A statement on record: its place, and whether it had been there before."""

    seq: int
    duplicate: bool


@dataclass(slots=True)
class Batch:
    """Chain, keys and pending rows.

    `size` and `frontier` are the log's before the batch; `leaf` is the newest entry's and moves on. An audit that is
    `replaying` does not know where transactions ended: there a signer may have seen any size before its own entry.
    """

    keyring: Keyring
    size: int
    leaf: bytes
    frontier: bytes
    time: str
    replaying: bool = False
    leaves: list[bytes] = field(default_factory=list)
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _signers: list[dict[str, Any]] = field(default_factory=list)
    _known: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)

    @classmethod
    def first(cls, origin: str, time: str) -> "Batch":
        """The batch that holds genesis."""
        return cls(Keyring(origin=origin), 0, bytes.fromhex(GENESIS_PREV), b"", time)

    @property
    def next_seq(self) -> int:
        """The seq of the next statement that is added."""
        return self.size + len(self.leaves)

    def recall(self, connection: Connection, sent: Iterable[Submission]) -> None:
        """Look up which of the header ids are on record already; to be called before they are added."""
        ids = [item.header_id for item in sent]
        for start in range(0, len(ids), 500):
            query = select(tables.entries.c.header_id, tables.entries.c.seq, tables.entries.c.payload_sha)
            for row in connection.execute(query.where(tables.entries.c.header_id.in_(ids[start : start + 500]))):
                self._known[bytes(row.header_id)] = (row.seq, bytes(row.payload_sha))

    def add(self, connection: Connection, rules: Rules, sent: Submission, root_at: RootAt) -> Appended:
        """Let one statement stand as the next entry and write its projection, or raise what refuses it.

        `root_at` gives the root of the log at a size that a signer may have seen.
        """
        statement = sent.statement
        if statement.header.registry != self.keyring.origin:
            raise InvalidInput(f"header.registry: expected {self.keyring.origin}, found {statement.header.registry}")
        if sent.header_id in self._known:
            seq, payload_sha = self._known[sent.header_id]
            if payload_sha != sent.payload_sha:
                raise Conflict(
                    f"header id {statement.header.id}: expected the statement of entry {seq}, found another payload",
                    seq=seq,
                )
            return Appended(seq, duplicate=True)
        self._check_seen(connection, sent, root_at)
        signers = tuple(
            resolve_signer(connection, rules, self.keyring, statement, signature.keyid, self.time)
            for signature in sent.envelope.signatures
        )
        sent.check({signer.keyid: signer.public for signer in signers})
        draft = Draft(self.next_seq, self.time, statement, sent.envelope, signers)
        self.keyring.admit(draft)
        rules.admit(connection, draft)
        data = sent.placed(self.leaf, draft.seq, draft.time)
        keyring = self.keyring
        if draft.kind in ("genesis", "key"):
            keyring = keyring.copy()
            keyring.apply(draft)
        _project(connection, rules, draft)  # the last step that may refuse: it takes back its rows
        self.keyring = keyring
        self._append(sent, draft, data)
        return Appended(draft.seq, duplicate=False)

    def write(self, connection: Connection) -> tuple[bytes, bytes]:
        """Write the entries and the tree; returns root and frontier. Raises when the two ways to the root differ."""
        for row in (self._rows[0], self._rows[-1]):
            parse_entry(row["data"])  # what a batch has in common, such as its time, cannot be read again where it is wrong
        connection.execute(insert(tables.entries), self._rows)
        connection.execute(insert(tables.signers), self._signers)
        self._rows, self._signers = [], []

        def stored(level: int, n: int) -> bytes:
            return stored_tile(connection, level, n)

        changed = [
            {"level": level, "n": n, "data": data} for level, n, data in updated_tiles(self.size, stored, self.leaves)
        ]
        write = upsert(tables.tiles)
        write = write.on_conflict_do_update(index_elements=["level", "n"], set_={"data": write.excluded.data})
        connection.execute(write, changed)
        size = self.next_seq
        from_tiles = merkle.root_at(size, node_reader(stored))
        frontier = merkle.CompactRange.from_bytes(self.size, self.frontier)
        again = select(tables.entries.c.data).where(tables.entries.c.seq >= self.size).order_by(tables.entries.c.seq)
        frontier.extend(merkle.leaf_hash(bytes(data)) for data in connection.execute(again).scalars())
        if frontier.size != size or frontier.root() != from_tiles:
            raise VerificationError(
                f"refusing to sign size {size}: the root of the tiles is {from_tiles.hex()}, of the entries "
                f"{frontier.root().hex()} at size {frontier.size}"
            )
        return from_tiles, frontier.to_bytes()

    def _append(self, sent: Submission, draft: Draft, data: bytes) -> None:
        prev, self.leaf = self.leaf, merkle.leaf_hash(data)
        self.leaves.append(self.leaf)
        self._known[sent.header_id] = (draft.seq, sent.payload_sha)
        self._rows.append(
            {
                "seq": draft.seq,
                "kind": draft.kind,
                "header_id": sent.header_id,
                "payload_sha": sent.payload_sha,
                "prev": prev,
                "leaf": self.leaf,
                "data": data,
            }
        )
        self._signers.extend({"seq": draft.seq, "keyid": bytes.fromhex(signer.keyid)} for signer in draft.signers)

    def _check_seen(self, connection: Connection, sent: Submission, root_at: RootAt) -> None:
        seen = sent.statement.header.seen
        if seen is None:
            if sent.statement.kind != "genesis" and not self._has_new_key(connection, sent):
                raise InvalidInput(
                    "header.seen: expected the size and root that the signer knew, found null; only genesis and a key's "
                    "first statement may leave it out"
                )
            return
        size, root = int(seen.size), bytes.fromhex(seen.root.removeprefix("sha256:"))
        limit = self.next_seq if self.replaying else self.size
        if not 0 < size <= limit:
            raise InvalidInput(f"header.seen: expected a size from 1 to {limit}, found {size}")
        if root_at(size) != root:
            raise VerificationError(
                f"header.seen: at size {size} expected this log's root {root_at(size).hex()}, found {root.hex()}: the "
                "signer has seen another history",
                hint="keep the checkpoint that the signer saw: it is evidence of a fork",
            )

    def _has_new_key(self, connection: Connection, sent: Submission) -> bool:
        keyids = {bytes.fromhex(signature.keyid) for signature in sent.envelope.signatures}
        query = select(tables.signers.c.keyid).where(tables.signers.c.keyid.in_(keyids)).distinct()
        used = set(connection.execute(query).scalars()) | {row["keyid"] for row in self._signers}
        return not keyids <= used


def _project(connection: Connection, rules: Rules, draft: Draft) -> None:
    execute = connection.connection.cursor().execute  # the driver's own: a tenth of the time, and there is one a statement
    execute("SAVEPOINT statement")
    try:
        rules.project(connection, draft)
    except BaseException:
        execute("ROLLBACK TO statement")
        execute("RELEASE statement")
        raise
    execute("RELEASE statement")
