"""The audit: every entry stands again in an empty log, and everything that was stored is compared with what comes out.

Chain, leaf hashes, tiles, roots, every signature inside every entry, key roles at that time, monotone time, admission
rules and the projection follow from the entries alone; an audit makes them again in a scratch database, with the code
that writes the log, and names the first difference. `inbond-verify` is the second opinion: another implementation.

A log may come from its database or from a folder of exported files.
"""

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, select, text

from inbond.ledger import checkpoints, merkle, notes, submission, tables
from inbond.ledger.batch import Batch
from inbond.ledger.comparing import compare_table, shown
from inbond.ledger.database import Database, translated
from inbond.ledger.entries import parse_entry
from inbond.ledger.keyring import Keyring
from inbond.ledger.keys import PublicKey
from inbond.ledger.log import Log
from inbond.ledger.reader import LedgerReader, stored_tile
from inbond.ledger.rules import Rules
from inbond.ledger.sources import DatabaseSource, FolderSource, Source, translating
from inbond.ledger.submission import Submission
from inbond.ledger.tiles import node_reader, tile_path, tiles_of
from inbond.schemas.entry import GENESIS_PREV, Entry
from inbond.schemas.errors import InbondError, Inconclusive, StoreError, VerificationError
from inbond.schemas.statement import Statement

STEP = 256
Progress = Callable[[int, int], None]


@dataclass
class AuditReport:
    """What an audit found. `problem` is the first difference, None when there was none."""

    source: str
    origin: str = ""
    size: int = 0
    root: str = ""
    signatures: int = 0
    checkpoints: int = 0
    tables: int = 0
    problem: str | None = None
    unchecked: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """clean, inconclusive (something could not be checked) or differs."""
        return "differs" if self.problem else "inconclusive" if self.unchecked else "clean"


def audit_log(log: Log, rules: Rules, progress: Progress | None = None) -> AuditReport:
    """Audit a log's database: entries, tree, checkpoints, high-water file, and every row that `rules` projected."""
    report = AuditReport(str(log.database.path))
    with _reported(report), translated(log.database.path), _scratch(rules) as scratch:
        log.database.integrity()
        with log.reading() as reader:
            state = _replay(DatabaseSource(report.source, reader), rules, scratch, report, progress)
            with scratch.reading() as again:
                _check_triggers(reader.connection, again)
                for table in (tables.entries, tables.signers, tables.tiles, *rules.tables):
                    compare_table(table, reader.connection, again, log.database.path)
                    report.tables += 1
                _check_head(reader, state)
                _check_checkpoints(reader, again, state.keyring, report)
        try:
            log.check_high_water()
        except StoreError as error:  # to a writer the state that it refuses to write in, to an auditor a finding
            raise VerificationError(error.message) from None
    return report


def audit_folder(folder: Path, rules: Rules, genesis: bytes | None = None, progress: Progress | None = None) -> AuditReport:
    """Audit a log from exported files alone.

    `genesis` pins the leaf hash of entry 0; without it the report says that the log vouches for its own keys.
    """
    report = AuditReport(str(folder))
    with _reported(report), _scratch(rules) as scratch:
        source = FolderSource(folder)
        _replay(source, rules, scratch, report, progress)
        with scratch.reading() as again:
            for name in (name for name in tiles_of(report.size) if name.level is not None):
                path = tile_path(name.level or 0, name.n, name.width)
                if source.read(path) != stored_tile(again, name.level or 0, name.n)[: 32 * name.width]:
                    raise VerificationError(f"{folder / path}: expected the hashes that follow from the entries, found others")
            leaf = bytes(again.execute(select(tables.entries.c.leaf).where(tables.entries.c.seq == 0)).scalar_one())
        report.checkpoints = 1
        if genesis is None:
            report.unchecked.append(f"genesis was not pinned: compare {leaf.hex()} with what the operator published")
        elif leaf != genesis:
            raise VerificationError(f"{folder}: expected genesis {genesis.hex()}, found {leaf.hex()}")
    return report


@contextmanager
def _scratch(rules: Rules) -> Iterator[Database]:
    with tempfile.TemporaryDirectory(prefix="inbond-audit-") as folder:
        database = Database.create(Path(folder) / "ledger.db", [*tables.TABLES, *rules.tables], durable=False)
        try:
            yield database
        finally:
            database.close()


def _replay(source: Source, rules: Rules, scratch: Database, report: AuditReport, progress: Progress | None) -> "_State":
    """Let every entry of `source` stand again in `scratch`; checks the newest checkpoint against the result."""
    note = source.checkpoint()
    claimed = checkpoints.parse(notes.parse(note).text)
    report.origin, report.size, report.root = claimed.origin, claimed.size, claimed.root.hex()
    state = _State(source.name)
    entries = source.entries(claimed.size)
    with scratch.writing() as connection, state.pool:
        while page := list(islice(entries, STEP)):
            state.stand(connection, rules, page, report)
            if progress:
                progress(state.size, claimed.size)
        connection.exec_driver_sql("COMMIT")
    if state.size != claimed.size:
        raise VerificationError(f"{source.name}: expected {claimed.size} entries as the checkpoint says, found {state.size}")
    _check_note(note, state.keyring, f"{source.name}: checkpoint")
    if state.root != claimed.root:
        raise VerificationError(
            f"{source.name}: checkpoint: expected root {state.root.hex()} from the entries, found {claimed.root.hex()}"
        )
    return state


class _State:
    """The log that grows in the scratch database."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.keyring = Keyring()
        self.size, self.leaf, self.frontier = 0, bytes.fromhex(GENESIS_PREV), b""
        self.root, self.time = merkle.EMPTY_ROOT, ""
        self.pool = ThreadPoolExecutor(max_workers=4)

    def stand(self, connection: Connection, rules: Rules, page: list[tuple[int, bytes]], report: AuditReport) -> None:
        """Add one page of entries, comparing each with what it claims to be."""
        batch = Batch(self.keyring, self.size, self.leaf, self.frontier, self.time, replaying=True)

        # What signers have seen: in an earlier page, read from its tiles; in this one, one root after the other.
        node = node_reader(cache(lambda level, n: stored_tile(connection, level, n)))
        tree = merkle.CompactRange.from_bytes(self.size, self.frontier)
        recent: list[bytes] = []

        @cache
        def root_before(size: int) -> bytes:
            return merkle.root_at(size, node)

        def root_at(size: int) -> bytes:
            if size <= self.size:
                return root_before(size)
            while len(recent) < size - self.size:
                tree.append(batch.leaves[len(recent)])
                recent.append(tree.root())
            return recent[size - self.size - 1]

        entries = [self._parse(seq, data) for seq, data in page]
        prepared = submission.prepare_all((entry.dsse for entry in entries), self._public_key, self.pool)
        batch.recall(connection, [item for item in prepared if isinstance(item, Submission)])
        for (_, data), entry, item in zip(page, entries, prepared, strict=True):
            if isinstance(item, InbondError):
                raise self._refused(entry.seq, item)
            if entry.seq == 0:
                batch.keyring = Keyring(origin=item.statement.header.registry)
            if entry.time < batch.time:
                raise VerificationError(f"entry {entry.seq}: expected a time of {batch.time} or later, found {entry.time}")
            batch.time = entry.time
            try:
                added = batch.add(connection, rules, item, root_at)
            except InbondError as error:
                raise self._refused(entry.seq, error) from error
            if added.duplicate:
                raise VerificationError(f"entry {entry.seq}: expected a header id of its own, found that of entry {added.seq}")
            if batch.leaf != merkle.leaf_hash(data):
                raise VerificationError(
                    f"entry {entry.seq}: expected kind {item.statement.kind}, seq {added.seq} and the leaf hash of the entry "
                    f"before in prev, found kind {entry.kind}, seq {entry.seq}, prev {entry.prev[:16]}…"
                )
            report.signatures += len(entry.dsse.signatures)
        self.root, self.frontier = batch.write(connection)
        self.keyring, self.leaf, self.size, self.time = batch.keyring, batch.leaf, batch.next_seq, batch.time

    def _parse(self, seq: int, data: bytes) -> Entry:
        try:
            return parse_entry(data)
        except InbondError as error:
            raise VerificationError(f"{self.name}: entry {seq}: {error.message}") from error

    def _refused(self, seq: int, error: InbondError) -> VerificationError:
        return VerificationError(f"{self.name}: entry {seq} cannot stand in this log: {error.message}")

    def _public_key(self, _: Statement, keyid: str) -> PublicKey | None:
        state = self.keyring.keys.get(keyid)
        return state.public if state else None


def _check_note(note: bytes, keyring: Keyring, what: str) -> checkpoints.Checkpoint:
    """The checkpoint of a note all of whose signature lines verify under this log's keys."""
    known = {(key.name, key.key_id) for key in keyring.log_keys}
    try:
        for line in notes.parse(note).signatures:
            if (line.name, line.key_id) not in known:
                raise VerificationError(
                    f"expected signatures by this log's keys only, found one by {line.name}+{line.key_id.hex()}"
                )
        return checkpoints.open_checkpoint(note, keyring.log_keys, keyring.origin)
    except VerificationError as error:
        raise VerificationError(f"{what}: {error.message}") from None


def _check_checkpoints(reader: LedgerReader, again: Connection, keyring: Keyring, report: AuditReport) -> None:
    """Every stored checkpoint is signed and is the root of its size; the head row is the newest of them."""
    node = node_reader(lambda level, n: stored_tile(again, level, n))
    newest = b""
    for size, newest in translating(Path(report.source), reader.checkpoints()):
        checkpoint = _check_note(newest, keyring, f"checkpoint {size}")
        if checkpoint.size != size or not 0 < size <= reader.size:
            raise VerificationError(f"checkpoint {size}: expected that size, found {checkpoint.size} in a log of {reader.size}")
        root = merkle.root_at(size, node)
        if root != checkpoint.root:
            raise VerificationError(
                f"checkpoint {size}: expected root {root.hex()} from the entries, found {checkpoint.root.hex()}"
            )
        report.checkpoints += 1
    if newest != reader.note:
        raise VerificationError("head: expected the note of the newest checkpoint, found another")


def _check_triggers(live: Connection, again: Connection) -> None:
    query = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name")
    found, expected = ({name: sql for name, sql in connection.execute(query)} for connection in (live, again))
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            raise VerificationError(
                f"trigger {name}: expected {shown(expected.get(name))}, which keeps entries append-only, found "
                f"{shown(found.get(name))}"
            )


def _check_head(reader: LedgerReader, state: _State) -> None:
    for name, expected in (
        ("size", state.size), ("root", state.root), ("leaf", state.leaf), ("time", state.time), ("frontier", state.frontier)
    ):  # fmt: skip
        found = getattr(reader, name)
        if found != expected:
            raise VerificationError(f"head.{name}: expected {shown(expected)} from the entries, found {shown(found)}")


@contextmanager
def _reported(report: AuditReport) -> Iterator[None]:
    """Turn the first failure into the report's verdict."""
    try:
        yield
    except Inconclusive as error:
        report.unchecked.append(error.message)
    except VerificationError as error:
        report.problem = error.message
