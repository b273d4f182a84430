"""The statements of one transaction as they become entries: admitted, chained, projected, and put into the tree.

The log writes with this and an audit replays with it, so both ask the same questions in the same order. What a batch
promises is argued in log.py.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from inbond.ledger import merkle, tables
from inbond.ledger.entries import parse_entry
from inbond.ledger.keyring import Keyring
from inbond.ledger.pending import pending, settle
from inbond.ledger.prepared import Prepared
from inbond.ledger.reader import stored_tile
from inbond.ledger.replay import resolve_signer
from inbond.ledger.rules import Draft, Rules, Signer
from inbond.ledger.submission import Submission
from inbond.ledger.tiles import TILE_HEIGHT, TILE_WIDTH, node_reader, updated_tiles
from inbond.schemas.entry import GENESIS_PREV
from inbond.schemas.errors import Conflict, InbondError, InvalidInput, VerificationError

RootAt = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Appended:
    """A statement on record: its place, and whether it had been there before."""

    seq: int
    duplicate: bool


class _RefusedLateError(Exception):
    """A projection refused with `error`, and what it wrote has to be taken back."""

    def __init__(self, error: Exception) -> None:
        self.error = error


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
    _rows: list[tuple[Any, ...]] = field(default_factory=list)
    _signers: list[tuple[int, bytes]] = field(default_factory=list)
    _known: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    _seen: dict[int, str] = field(default_factory=dict)
    _resolved: dict[str, Signer] = field(default_factory=dict)
    _execute: Callable[[str], object] | None = None
    _alone: bool = True  # whether each projection has a savepoint of its own

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
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            some += some[:1] * (_AT_ONCE - len(some))  # the statement has that many parameters
            for header_id, seq, payload_sha in _PLACES_OF.rows(connection, *some):
                self._known[header_id] = (seq, payload_sha)

    def add_all(
        self, connection: Connection, rules: Rules, sent: Sequence[Submission | InbondError], root_at: RootAt
    ) -> list[Appended | InbondError]:
        """`add` for everything that a new batch is to hold, in order; what is refused stands as its error in its place.

        To take back the rows of one projection there has to be a savepoint before it, and one for each statement costs more
        than the rows of most. Projections hardly ever refuse, as admission is asked before them, so there is one for all; when
        one refuses all the same, everything is taken back and done again with one for each.
        """
        start = self.keyring, self.leaf, dict(self._known)
        self._run(connection, "SAVEPOINT batch")
        self._alone = False
        try:
            outcomes = [self._outcome(connection, rules, each, root_at) for each in sent]
        except _RefusedLateError as refused:
            self._take_back(connection, refused)
            self.keyring, self.leaf, self._known = start
            for each in (self.leaves, self._rows, self._signers, self._seen, self._resolved):
                each.clear()
            self._alone = True
            outcomes = [self._outcome(connection, rules, each, root_at) for each in sent]
        self._run(connection, "RELEASE batch")
        return outcomes

    def _take_back(self, connection: Connection, refused: "_RefusedLateError") -> None:
        pending(connection).drop()
        try:
            self._run(connection, "ROLLBACK TO batch")
        except Exception:  # whatever refused has ended the whole transaction, and is what there is to say
            raise refused.error from None

    def _outcome(
        self, connection: Connection, rules: Rules, sent: Submission | InbondError, root_at: RootAt
    ) -> Appended | InbondError:
        if isinstance(sent, InbondError):
            return sent
        try:
            return self.add(connection, rules, sent, root_at)
        except InbondError as error:
            return error

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
        signers = tuple([self._signer(connection, rules, sent, signature.keyid) for signature in sent.envelope.signatures])
        if not sent.checked:
            sent.check({signer.keyid: signer.public for signer in signers})
        draft = Draft(self.next_seq, self.time, statement, sent.envelope, signers)
        self.keyring.admit(draft)
        rules.admit(connection, draft)
        data = sent.placed(self.leaf, draft.seq, draft.time)
        keyring = self.keyring
        if draft.kind in ("genesis", "key"):
            keyring = keyring.copy()
            keyring.apply(draft)
        self._project(connection, rules, draft)  # the last step that may refuse: it takes back its rows
        if keyring is not self.keyring:
            self.keyring = keyring
            self._resolved.clear()
        self._known[sent.header_id] = (draft.seq, sent.payload_sha)
        self.put(draft, sent.payload_sha, data)
        return Appended(draft.seq, duplicate=False)

    def put(self, draft: Draft, payload_sha: bytes, data: bytes) -> None:
        """Let the bytes of a statement that may stand be the next entry."""
        prev, self.leaf = self.leaf, merkle.leaf_hash(data)
        self.leaves.append(self.leaf)
        header_id = bytes.fromhex(draft.statement.header.id)
        self._rows.append((draft.seq, draft.kind, header_id, payload_sha, prev, self.leaf, data))
        for signer in draft.signers:
            self._signers.append((draft.seq, bytes.fromhex(signer.keyid)))

    def write(self, connection: Connection) -> tuple[bytes, bytes]:
        """Write the entries, what was left to be written of their projection, and the tree; returns root and frontier.

        Raises when the two ways to the root differ.
        """
        for row in (self._rows[0], self._rows[-1]):
            parse_entry(row[-1])  # what a batch has in common, such as its time, cannot be read again where it is wrong
        _INSERT_ENTRY.run_many(connection, self._rows)
        _INSERT_SIGNER.run_many(connection, self._signers)
        settle(connection)
        self._rows, self._signers = [], []

        def stored(level: int, n: int) -> bytes:
            return stored_tile(connection, level, n)

        new, grown = [], []
        for level, n, data in updated_tiles(self.size, stored, self.leaves):
            if self.size >> TILE_HEIGHT * level > TILE_WIDTH * n:
                grown.append((data, level, n))
            else:
                new.append((level, n, data))
        _INSERT_TILE.run_many(connection, new)
        _UPDATE_TILE.run_many(connection, grown)
        size = self.next_seq
        from_tiles = merkle.root_at(size, node_reader(stored))
        frontier = merkle.CompactRange.from_bytes(self.size, self.frontier)
        frontier.extend(merkle.leaf_hash(data) for (data,) in _ENTRIES_FROM.rows(connection, self.size))
        if frontier.size != size or frontier.root() != from_tiles:
            raise VerificationError(
                f"refusing to sign size {size}: the root of the tiles is {from_tiles.hex()}, of the entries "
                f"{frontier.root().hex()} at size {frontier.size}"
            )
        return from_tiles, frontier.to_bytes()

    def _signer(self, connection: Connection, rules: Rules, sent: Submission, keyid: str) -> Signer:
        signer = self._resolved.get(keyid)
        if signer is None:
            signer = resolve_signer(connection, rules, self.keyring, sent.statement, keyid, self.time)
            if keyid in self.keyring.keys and not self.replaying:  # for the others it depends on the statement
                self._resolved[keyid] = signer
        return signer

    def _project(self, connection: Connection, rules: Rules, draft: Draft) -> None:
        if not self._alone:
            try:
                return rules.project(connection, draft)
            except Exception as error:
                raise _RefusedLateError(error) from error
        self._run(connection, "SAVEPOINT statement")
        try:
            rules.project(connection, draft)
            settle(connection)
        except BaseException:
            pending(connection).drop()
            self._run(connection, "ROLLBACK TO statement")
            self._run(connection, "RELEASE statement")
            raise
        self._run(connection, "RELEASE statement")

    def _run(self, connection: Connection, statement: str) -> None:
        if self._execute is None:  # the driver's own: a tenth of the time
            self._execute = connection.connection.cursor().execute
        self._execute(statement)

    def _check_seen(self, connection: Connection, sent: Submission, root_at: RootAt) -> None:
        seen = sent.statement.header.seen
        if seen is None:
            if sent.statement.kind != "genesis" and not self._has_new_key(connection, sent):
                raise InvalidInput(
                    "header.seen: expected the size and root that the signer knew, found null; only genesis and a key's "
                    "first statement may leave it out"
                )
            return
        if self._seen.get(seen.size) == seen.root:
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
        self._seen[seen.size] = seen.root

    def _has_new_key(self, connection: Connection, sent: Submission) -> bool:
        keyids = {bytes.fromhex(signature.keyid) for signature in sent.envelope.signatures}
        query = select(tables.signers.c.keyid).where(tables.signers.c.keyid.in_(keyids)).distinct()
        used = set(connection.execute(query).scalars()) | {keyid for _, keyid in self._signers}
        return not keyids <= used


_INSERT_ENTRY, _INSERT_SIGNER = Prepared.insert(tables.entries), Prepared.insert(tables.signers)
_INSERT_TILE = Prepared.insert(tables.tiles)
_UPDATE_TILE = Prepared(
    update(tables.tiles)
    .values(data=bindparam("data"))
    .where(tables.tiles.c.level == bindparam("of_level"), tables.tiles.c.n == bindparam("of_n")),
    ["data", "of_level", "of_n"],
)
_AT_ONCE = 32
_PLACES_OF = Prepared(
    select(tables.entries.c.header_id, tables.entries.c.seq, tables.entries.c.payload_sha).where(
        tables.entries.c.header_id.in_([bindparam(f"id{i}") for i in range(_AT_ONCE)])
    ),
    [f"id{i}" for i in range(_AT_ONCE)],
)
_ENTRIES_FROM = Prepared(
    select(tables.entries.c.data).where(tables.entries.c.seq >= bindparam("first")).order_by(tables.entries.c.seq), ["first"]
)
