"""The audit: every entry is examined again, and everything that is kept beside the entries is compared with what follows.

Chain, leaf hashes, tiles, roots, every signature inside every entry and on every checkpoint, key roles at that time,
monotone time, admission rules and the projection follow from the entries alone. An audit makes them again and names the
first difference. `inbond-verify` is the second opinion: another implementation.

A log may come from its database, from a folder of exported files, or from an address that serves such files.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from msgspec import structs
from sqlalchemy import Connection

from inbond.ledger import notes, tables
from inbond.ledger.auditing.heads import open_strictly
from inbond.ledger.auditing.ids import HeaderIds
from inbond.ledger.auditing.remembered import Memory, Recalled
from inbond.ledger.auditing.replaying import Replay, claimed_by
from inbond.ledger.auditing.report import AuditReport, Options, Progress
from inbond.ledger.auditing.standing import scratch
from inbond.ledger.auditing.tree import Tree
from inbond.ledger.auditing.workers import APART, Workers, cores
from inbond.ledger.comparing import compare_table, shown
from inbond.ledger.database import Database
from inbond.ledger.log import Log
from inbond.ledger.published import FileSource, FolderFiles
from inbond.ledger.reader import LedgerReader
from inbond.ledger.rules import Rules
from inbond.ledger.sources import DatabaseSource, Source
from inbond.ledger.tiles import TILE_WIDTH, tile_root
from inbond.schemas.errors import Inconclusive, StoreError, VerificationError

__all__ = ["AuditReport", "Memory", "Options", "Progress", "audit_files", "audit_folder", "audit_log"]


def audit_log(log: Log, rules: Rules, progress: Progress | None = None, options: Options | None = None) -> AuditReport:
    """Audit a log's database: entries, tree, checkpoints, high-water file, and every row that `rules` projected.

    The rows are made again from all entries, whatever an earlier audit has verified.
    """
    options = replace(options or Options(), genesis=log.genesis_leaf)
    options = replace(options, progress=progress or options.progress)
    name = log.database.name
    report = AuditReport(name)
    with _reported(report), _sound(log.database), log.reading() as reader:
        source = DatabaseSource(name, reader)
        with _replayed(source, rules, options, report) as (replay, connection):
            log.database.check_guards(reader.connection)
            report.tables = len((tables.entries, tables.signers, tables.tiles))
            for table in rules.tables:
                compare_table(table, reader.connection, connection, name)
                report.tables += 1
            _check_head(reader, source, replay)
            try:
                log.check_high_water()
            except StoreError as error:  # to a writer the state that it refuses to write in, to an auditor a finding
                raise VerificationError(error.message) from None
    return report


def audit_folder(
    folder: Path, rules: Rules, genesis: bytes | None = None, progress: Progress | None = None, options: Options | None = None
) -> AuditReport:
    """Audit a log from exported files alone.

    `genesis` pins the leaf hash of entry 0; without it the report says that the log vouches for its own keys.
    """
    options = options or Options()
    options = replace(options, genesis=genesis or options.genesis, progress=progress or options.progress)
    return audit_files(FileSource(FolderFiles(folder)), rules, options)


def audit_files(source: FileSource, rules: Rules, options: Options) -> AuditReport:
    """Audit a log from its files, wherever they are."""
    report = AuditReport(source.name)
    with _reported(report):
        if not source.has_entries(claimed_by(source).size):
            _audit_tiles(source, options, report)
            _ask_policy(source.checkpoint(), options, report)
            return report
        with _replayed(source, rules, options, report) as (replay, _):
            report.checkpoints = 1
            if options.genesis is None:
                report.not_checked(
                    f"genesis was not pinned: compare {replay.genesis.hex()} with what the operator published, and repeat with "
                    "--genesis HASH"
                )
        _ask_policy(source.checkpoint(), options, report)
    return report


def _ask_policy(note: bytes, options: Options, report: AuditReport) -> None:
    """A head that lacks what the policy wants beside a valid signature, such as a quorum, is no difference, and not clean."""
    if options.policy is not None:
        try:
            options.policy.open_checkpoint(note)
        except VerificationError as error:
            report.not_checked(error.message)


@contextmanager
def _replayed(source: Source, rules: Rules, options: Options, report: AuditReport) -> Iterator[tuple[Replay, Connection]]:
    """The log replayed to its end, with the rows that followed; what was found is remembered if nothing differs."""
    memory = options.memory
    with scratch(rules) as connection, HeaderIds() as ids, ThreadPoolExecutor(cores()) as executor:
        replay = Replay(source, rules, options, report, connection, executor)
        recalled = _recall(source, options, report, replay.claimed.size)
        if recalled is not None:
            replay.resume(recalled, ids)
        count = options.workers or max(1, cores() - replay.standing.asks_all)
        try:
            with Workers(count, apart=replay.claimed.size - replay.at >= APART) as workers:
                replay.run(workers, ids)
            yield replay, connection
        except (Inconclusive, KeyboardInterrupt):
            if memory is not None and replay.kept is not None and replay.kept.at and options.signatures:
                memory.keep(replay.kept, ids.blocks())
            raise
        if memory is not None and replay.kept is not None and options.signatures:
            head = replay.claimed
            kept = structs.replace(replay.kept, genesis=replay.genesis, size=head.size, root=head.root)
            memory.keep(kept, ids.blocks())
    if not options.signatures:
        report.not_checked("the signatures of statements: they were left out")


def _recall(source: Source, options: Options, report: AuditReport, size: int) -> Recalled | None:
    if options.memory is None or options.memory.anew:
        return None
    try:
        return options.memory.recall(options.genesis or source.first_leaf(size))
    except VerificationError as error:
        report.notes.append(f"{error.message}; started from entry 0")
        return None


def _audit_tiles(source: FileSource, options: Options, report: AuditReport) -> None:
    """What can be said of a log without its entries: its tiles make the root that its checkpoint says."""
    note, head = source.checkpoint(), claimed_by(source)
    report.origin, report.size, report.root, report.checkpoints = head.origin, head.size, head.root.hex(), 1
    tree, done = Tree(), 0
    for data in source.leaves(head.size):
        full = [tile_root(data)] if len(data) == 32 * TILE_WIDTH else []
        for level, n, tile in tree.add(data, full):
            source.check_tile(level, n, tile)
        done += len(data) // 32
        if options.progress:
            options.progress(done, head.size)
    for level, n, tile in tree.unfinished():
        source.check_tile(level, n, tile)
    source.check_rest(head.size, 0)
    if tree.root() != head.root:
        raise VerificationError(f"{source.head}: expected root {tree.root().hex()} from the tiles, found {head.root.hex()}")
    genesis = source.first_leaf(head.size)
    report.genesis = genesis.hex()
    if options.genesis is not None and genesis != options.genesis:
        raise VerificationError(f"{source.name}: expected genesis {options.genesis.hex()}, found {genesis.hex()}")
    report.not_checked(
        f"{source.name}: {source.withheld}"
        if source.withheld
        else f"{source.name} has no entry bundles: a public export shows heads and tiles, not entries"
    )
    if options.policy is None:
        report.not_checked("the checkpoint's signatures: without entries a trust policy has to say whose they should be")
    else:
        keys = [*(each.vkey for each in options.policy.logs), *(each.vkey for each in options.policy.witnesses)]
        known, signed = {(each.name, each.key_id) for each in keys}, notes.parse(note)
        own = [each for each in signed.signatures if each.name == head.origin and (each.name, each.key_id) not in known]
        for each in own:  # the entries name the log's keys, of which a policy need not have all
            report.not_checked(f"the checkpoint's signature by {each.name}+{each.key_id.hex()}: entries say whose key that is")
        judged = notes.Note(signed.text, tuple(each for each in signed.signatures if each not in own))
        open_strictly(judged.to_bytes() if judged.signatures else note, keys, head.origin)


@contextmanager
def _sound(database: Database) -> Iterator[None]:
    """Let the database look at itself meanwhile; what it finds explains whatever else differs, so it is said instead."""
    found: list[Exception] = []

    def look() -> None:
        try:
            database.integrity()
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=look, name="inbond-integrity", daemon=True)
    thread.start()
    try:
        yield
    except VerificationError:
        thread.join()
        if found:
            raise found[0] from None
        raise
    thread.join()
    if found:
        raise found[0]


def _check_head(reader: LedgerReader, source: Source, replay: Replay) -> None:
    """The head row is what follows from the entries, and its note the newest of the stored checkpoints."""
    for name, expected in (
        ("size", replay.claimed.size), ("root", replay.claimed.root), ("leaf", replay.leaf), ("time", replay.time),
        ("frontier", replay.tree.frontier()),
    ):  # fmt: skip
        found = getattr(reader, name)
        if found != expected:
            raise VerificationError(f"head.{name}: expected {shown(expected)} from the entries, found {shown(found)}")
    if dict(source.notes(reader.size - 1, reader.size)).get(reader.size) != reader.note:
        raise VerificationError("head: expected the note of the newest checkpoint, found another")


@contextmanager
def _reported(report: AuditReport) -> Iterator[None]:
    """Turn the first failure into the report's verdict."""
    try:
        yield
    except Inconclusive as error:
        report.not_checked(error.message)
    except VerificationError as error:
        report.problem = error.message
