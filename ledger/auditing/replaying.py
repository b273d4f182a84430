"""The audit's way through a log, from entry 0, or where an earlier audit ended, to the newest checkpoint.

Chunks of entries go to workers, which examine them side by side. What they find is taken in here, in the order of the log:
chain, tree and tiles, what is kept beside the entries, who may sign, header ids, what is claimed of roots. The first
difference ends the way.
"""

from collections import deque
from concurrent.futures import Executor, Future
from typing import Any

from sqlalchemy import Connection, insert, select

from inbond.ledger import checkpoints, merkle, notes
from inbond.ledger.auditing.claims import Claim, Claims, not_supported
from inbond.ledger.auditing.examining import Examine, Examined
from inbond.ledger.auditing.heads import open_strictly
from inbond.ledger.auditing.ids import HeaderIds
from inbond.ledger.auditing.remembered import Recalled, Remembered, keyring_from, keys_of
from inbond.ledger.auditing.report import AuditReport, Options
from inbond.ledger.auditing.standing import Standing
from inbond.ledger.auditing.tree import Tree
from inbond.ledger.auditing.workers import Workers
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.keys import VerifierKey
from inbond.ledger.replay import draft_of
from inbond.ledger.rules import Rules
from inbond.ledger.sources import Chunk, Source
from inbond.ledger.tiles import TILE_WIDTH
from inbond.schemas.entry import GENESIS_PREV
from inbond.schemas.errors import Inconclusive, VerificationError
from inbond.schemas.statements import Genesis

_LONG = 64 * TILE_WIDTH  # entries of a log that is read four tiles at a time
_FORK = ": the signer has seen another history"


class Replay:
    """One audit's way. `connection` is an empty database for the rows that the rules project."""

    def __init__(
        self, source: Source, rules: Rules, options: Options, report: AuditReport, connection: Connection, executor: Executor
    ) -> None:
        self._source, self._rules, self._options, self._report = source, rules, options, report
        self._connection = connection
        self._note = source.checkpoint()
        self.claimed = claimed_by(source)
        report.origin, report.size, report.root = self.claimed.origin, self.claimed.size, self.claimed.root.hex()
        if self.claimed.size == 0:
            raise VerificationError(f"{source.head}: expected at least entry 0, found none")
        self.tree = Tree()
        self.standing = Standing(rules, connection, self.claimed.origin, executor)
        self.leaf, self.time, self.genesis = bytes.fromhex(GENESIS_PREV), "", b""
        self.at = self._first = self._verified = 0
        self._whole = True  # whether all about the entries before `_at` was taken in
        self._earlier: Remembered | None = None
        self._due: list[Claim] = []
        self.kept: Remembered | None = None

    def resume(self, recalled: Recalled, ids: HeaderIds) -> None:
        """Go on from where an earlier audit ended, as far as what it has left goes."""
        state, name = recalled.state, self._source.head
        if self.claimed.size < max(state.size, state.at) or self.claimed.origin != state.origin:
            raise VerificationError(
                f"{self._source.head}: expected {state.origin} at size {max(state.size, state.at)} or later, which was audited "
                f"before, found {self.claimed.origin} at size {self.claimed.size}"
            )
        if state.size:
            self._due.append(Claim(state.size, state.root, f"{name}: the checkpoint that an earlier audit has verified"))
        self._earlier, self._verified, self._report.resumed = state, state.at, state.at
        if self.standing.asks_all or state.rules != _name(self._rules) or not state.at:
            return  # the rules' rows follow from all entries
        self.tree = Tree(state.tops)
        self.genesis = self.tree.checked(0, self._source.tile(0, 0))[:32]
        self._check_genesis()
        self.standing.recall(*keyring_from(state.origin, state.keys))
        for table in self._rules.tables:
            names = [column.name for column in table.columns]
            rows = [dict(zip(names, row, strict=True)) for row in state.rows[table.name]]
            if rows:
                self._connection.execute(insert(table), rows)
        for block in recalled.ids():
            ids.add(block)
        self.leaf, self.time, self.at, self._first = state.leaf, state.time, state.at, state.at

    def run(self, workers: Workers, ids: HeaderIds) -> None:
        """Go to the end; raises VerificationError for the first difference."""
        try:
            self._run(workers, ids)
        except VerificationError as error:
            raise self._explained(error) from None

    def _run(self, workers: Workers, ids: HeaderIds) -> None:
        size, whole = self.claimed.size, self.claimed.size // TILE_WIDTH * TILE_WIDTH
        policy = self._options.policy
        others = [] if policy is None else [*(log.vkey for log in policy.logs), *(each.vkey for each in policy.witnesses)]
        claims = Claims(self._source, self.tree, self.standing.log_keys, others, self.claimed.origin, self._report)
        try:
            for end in sorted({self._verified, whole, size}):
                self._go(end, workers, ids, claims)
                if end == whole:
                    self._keep()
                if end == self._verified and self._earlier is not None and self.tree.tops != self._earlier.tops:
                    raise VerificationError(
                        f"{self._source.name}: expected the first {end} entries to be those that an earlier audit has verified, "
                        "found others"
                    )
            claims.settle()
        except (Inconclusive, KeyboardInterrupt):
            if self._whole and self.at % TILE_WIDTH == 0:
                claims.settle()
                self._keep()
            raise
        self._source.check_end(size)
        for level, n, data in self.tree.unfinished():
            self._source.check_tile(level, n, data)
        self._source.check_rest(size, self._first)
        self._check_head(others)
        ids.finish()

    def _go(self, end: int, workers: Workers, ids: HeaderIds, claims: Claims) -> None:
        """Go on to the entry before `end`."""
        step = TILE_WIDTH * (4 if self.claimed.size > _LONG else 1)
        under_way: deque[tuple[Chunk, Future[Examined]]] = deque()
        first = self.at
        for chunk in self._source.chunks(first, end, step) if first < end else ():
            signatures = self._options.signatures and first >= self._verified
            task = Examine(first, self.claimed.origin, chunk.entries, signatures, self._source.rows)
            under_way.append((chunk, workers.submit(task)))
            first += len(chunk.entries)
            if len(under_way) > 2 * workers.count:
                self._take(*under_way.popleft(), workers, ids, claims)
        while under_way:
            self._take(*under_way.popleft(), workers, ids, claims)
        if self.at != end:
            raise VerificationError(
                f"{self._source.name}: expected {self.claimed.size} entries as the checkpoint says, found {self.at}"
            )

    def _take(self, chunk: Chunk, future: Future[Examined], workers: Workers, ids: HeaderIds, claims: Claims) -> None:
        """Take in what a worker has found in the next chunk."""
        examined = future.result()
        self._whole = False
        workers.learn(examined.keys)
        first, count, before = self.at, examined.count, self.tree.range()
        if count:
            self._check_edge(chunk, examined)
        chunk.compare(examined)
        if count:
            for level, n, data in self.tree.add(examined.leaves, examined.tile_roots):
                self._source.check_tile(level, n, data)
        if examined.problem is not None:
            raise VerificationError(chunk.where(count) + examined.problem)
        chunk.check_others()
        if first == 0:
            self.genesis = examined.leaves[:32]
            self._check_genesis()
        self.standing.judge(chunk.entries, examined)
        ids.add(examined.ids)
        self.at = first + count
        self.leaf, self.time = examined.leaves[-32:], examined.last_time
        due = [claim for claim in self._due if claim.size <= self.at]
        self._due = [claim for claim in self._due if claim.size > self.at]
        seen = [Claim(size, root, f"entry {first + at}: header.seen", _FORK) for at, size, root in examined.seen]
        claims.take(first, before, examined.leaves, [*due, *seen], self._source.notes(first, self.at), workers.submit)
        claims.settle(2 * workers.count)
        self._report.signatures += examined.signatures if self._options.signatures and first >= self._verified else 0
        self._whole = True
        if self._options.progress:
            self._options.progress(self.at, self.claimed.size)

    def _check_edge(self, chunk: Chunk, examined: Examined) -> None:
        """The chain and the clock from the chunk before to this one."""
        where = f"{chunk.where(0)}entry {self.at}"
        if examined.prev != self.leaf.hex().encode():
            raise VerificationError(
                f"{where}: expected prev {self.leaf.hex()}, the leaf hash of the entry before, found {examined.prev.decode()}"
            )
        if examined.first_time < self.time:
            raise VerificationError(f"{where}: expected a time of {self.time} or later, found {examined.first_time}")

    def _check_genesis(self) -> None:
        self._report.genesis = self.genesis.hex()
        expected = self._options.genesis
        if expected is not None and expected != self.genesis:
            raise VerificationError(f"{self._source.name}: expected genesis {expected.hex()}, found {self.genesis.hex()}")

    def _check_head(self, others: list[VerifierKey]) -> None:
        """The newest checkpoint is what follows from the entries, and everybody who signed it is known."""
        name, root = self._source.head, self.tree.root()
        if root != self.claimed.root:
            raise VerificationError(f"{name}: expected root {root.hex()} from the entries, found {self.claimed.root.hex()}")
        log_keys = self.standing.log_keys
        try:
            opened = open_strictly(self._note, [*log_keys.since, *others], self.claimed.origin)
            log_keys.check(self.claimed.size, (*opened.signed, *opened.unsupported), self.claimed.size - 1)
        except VerificationError as error:
            raise VerificationError(f"{name}: {error.message}") from None
        for key in opened.unsupported:
            self._report.not_checked(not_supported(key))

    def _explained(self, error: VerificationError) -> VerificationError:
        """What is wrong: the checkpoint, where its own signature says so, as everything else then seems to be."""
        where = self._source.head
        try:
            genesis = self._source.genesis()
            if self._options.genesis not in (None, merkle.leaf_hash(genesis)):
                return error
            draft = draft_of(genesis)
        except VerificationError:
            return error
        if not isinstance(draft.body, Genesis):
            return error
        if self.claimed.origin != draft.statement.header.registry:
            found = self.claimed.origin
            return VerificationError(f"{where}: expected origin {draft.statement.header.registry}, found {found}")
        keys = {(key.name, key.key_id): key for key in map(VerifierKey.parse, draft.body.log_keys)}
        note = notes.parse(self._note)
        for line in note.signatures:
            key = keys.get((line.name, line.key_id))
            if key is not None and key.supported and not key.verify(note.text, line.blob):
                return VerificationError(f"{where}: expected a valid signature by {line.name}, found one that does not verify")
        return error

    def _keep(self) -> None:
        """Note down what an audit needs that goes on from here."""
        rows: dict[str, list[list[Any]]] = {}
        for table in () if self.standing.asks_all else self._rules.tables:
            query = select(table).order_by(*table.primary_key.columns)
            rows[table.name] = [list(row) for row in self._connection.execute(query)]
        earlier = self._earlier
        self.kept = Remembered(
            genesis=self.genesis,
            origin=self.claimed.origin,
            at=self.at,
            leaf=self.leaf,
            time=self.time,
            tops=self.tree.tops,
            size=earlier.size if earlier else 0,
            root=earlier.root if earlier else b"",
            keys=keys_of(self.standing.keyring, self.standing.signed),
            rules=_name(self._rules),
            rows=rows,
        )


def claimed_by(source: Source) -> Checkpoint:
    """What the newest checkpoint of a source says, not verified."""
    try:
        return checkpoints.parse(notes.parse(source.checkpoint()).text)
    except VerificationError as error:
        name = source.head
        raise VerificationError(error.message if name in error.message else f"{name}: {error.message}") from None


def _name(rules: Rules) -> str:
    """Which rules they are, and which columns they keep."""
    columns = [f"{table.name}({', '.join(column.name for column in table.columns)})" for table in rules.tables]
    return f"{type(rules).__module__}.{type(rules).__qualname__} {' '.join(columns)}"
