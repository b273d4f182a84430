"""Bytes that leave: the delivery is on record first, then a folder is written that outsiders can check by themselves.

receipts/<seq>.tlog-proof      entries with their proofs, among them genesis, every key, and runs whose keys signed
shards/<sha256>.parquet        verified while they are copied
objects/<sha256>               the lists and texts that those entries name
log/                           with `with_log`: the whole log as static files
"""

import hashlib
import io
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from msgspec import UnsetType
from sqlalchemy import select

from inbond.ledger import checkpoints, notes
from inbond.ledger.export import export
from inbond.ledger.files import write_durably
from inbond.ledger.receipts import Receipt
from inbond.registry import tables as t
from inbond.registry.listing import ListedKey, ListedTeacher
from inbond.registry.mentions import named_objects, references
from inbond.registry.objects import bare
from inbond.registry.opened import OpenRegistry
from inbond.registry.reading import statement_of
from inbond.registry.times import now
from inbond.registry.training import runs
from inbond.registry.versions import parts_of
from inbond.registry.withdrawn import withdrawn
from inbond.schemas.errors import Conflict, VerificationError
from inbond.schemas.statement import Statement
from inbond.schemas.statements import Dataset, GrantMode, Shard, Terms

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Delivered:
    """What was written: the deliveries on record, and how many shards, objects and receipts the folder holds."""

    folder: Path
    deliveries: tuple[str, ...]
    shards: int
    objects: int
    receipts: int


def deliver_to_run(
    registry: OpenRegistry,
    datasets: Sequence[str],
    *,
    student: str,
    run: str,
    folder: Path,
    progress: Progress | None = None,
    **options: str | int,
) -> Delivered:
    """Open or continue the run, get a grant for export, record a delivery for each dataset, and write the folder.

    The run counts as exposed to everything that was delivered.
    """
    from inbond.schemas.columns import TEXT_SCHEMA  # with pyarrow, which few processes need

    _expect_empty(folder)
    opened = runs.open_run(registry, datasets, student=student, name=run, **options)  # type: ignore[arg-type]
    granted = runs.grant(registry, opened, GrantMode.EXPORT, tuple(TEXT_SCHEMA.names))
    deliveries = [delivery.ref for delivery in registry.place.deliver(grant=granted.ref)]
    about = [*(registry.resolve(dataset, "dataset") for dataset in datasets), *deliveries]
    return write_bundle(registry, folder, about, deliveries, granted.ref, progress)


def export_dataset(
    registry: OpenRegistry, dataset: str, folder: Path, *, recipient: str | None = None, progress: Progress | None = None
) -> Delivered:
    """Record a delivery of one dataset version to `recipient` (not known unless given), and write the folder."""
    _expect_empty(folder)
    ref = registry.resolve(dataset, "dataset")
    to = None if recipient is None else registry.resolve(recipient, "party")
    [delivery] = registry.place.deliver(object=ref, recipient=to)
    return write_bundle(registry, folder, [ref, delivery.ref], [delivery.ref], delivery.ref, progress)


def export_everything(registry: OpenRegistry, folder: Path, progress: Progress | None = None) -> Delivered:
    """Write all entries, shards and objects of a registry's folder, and the log itself; not the bytes of withdrawn shards.

    On record first are deliveries of every dataset's newest version, and of each shard that is in none of them.
    """
    _expect_empty(folder)
    with registry.reading() as reader:
        d, p = t.datasets.c, t.dataset_parts.c
        every = list(reader.connection.execute(select(t.shards.c.ref).order_by(t.shards.c.seq)).scalars())
        gone = {found.shard for found in withdrawn(reader.connection, every, now())}
        newest = {(row.owner, row.name): row.ref for row in reader.connection.execute(select(t.datasets).order_by(d.seq))}
        parts: dict[str, set[str]] = {ref: set() for ref in newest.values()}
        for row in reader.connection.execute(select(p.dataset, p.shard).where(p.dataset.in_(parts)).distinct()):
            parts[row.dataset].add(row.shard)
        whole = {ref: shards for ref, shards in parts.items() if not shards & gone}
        leaving = [*whole, *(shard for shard in every if shard not in gone.union(*whole.values()))]
    deliveries = [delivery.ref for ref in leaving for delivery in registry.place.deliver(object=ref)]
    folder.mkdir(parents=True, exist_ok=True)
    with registry.reading() as reader:
        refs = list(reader.connection.execute(select(t.things.c.ref).order_by(t.things.c.seq)).scalars())
        statements = {ref: statement_of(registry.log, reader, ref) for ref in refs}
        shards, objects = _write_bytes(registry, folder, statements, None, progress, gone)
        note = registry.local.published.at(reader, reader.size)
        _write_receipts(folder, {seq: replace(reader.receipt(seq), checkpoint=note) for seq in range(reader.size)})
        (folder / "log").mkdir()
        export(reader, folder / "log", note=note)
        return Delivered(folder, tuple(deliveries), shards, objects, reader.size)


def write_bundle(
    registry: OpenRegistry,
    folder: Path,
    about: Iterable[str],
    deliveries: Sequence[str] = (),
    under: str | None = None,
    progress: Progress | None = None,
) -> Delivered:
    """Write what shows `about` (references) to be on record, with the bytes of its shards, to `folder`.

    `under` is the grant or delivery that lets the shards leave.
    """
    folder.mkdir(parents=True, exist_ok=True)
    statements = _closure(registry, about)
    shards, objects = _write_bytes(registry, folder, statements, under, progress)
    seqs = {thing.entry for thing in registry.place.things(statements).values()}
    seqs.update({0}, *(key.entries for key in registry.every(ListedKey)))
    newest = registry.place.receipt(max(seqs)).checkpoint
    size = checkpoints.parse(notes.parse(newest).text).size  # one head for all, so that nobody asks how several hang together
    _write_receipts(folder, {seq: registry.place.receipt(seq, size) for seq in sorted(seqs)})
    return Delivered(folder, tuple(deliveries), shards, objects, len(seqs))


def _closure(registry: OpenRegistry, about: Iterable[str]) -> dict[str, Statement]:
    """The statements of `about` and of everything that they refer to: shards, teachers, parties, grants, runs, rulings.

    Where one was corrected, the corrections are among them.
    """
    found: dict[str, Statement] = {}
    terms: dict[str, tuple[str, ...]] = {}
    waiting = set(about)
    while waiting:
        level, waiting = sorted(waiting - found.keys()), set()
        waiting.update(thing.newest for thing in registry.place.things(level).values())
        for ref in level:
            made = found[ref] = registry.place.statement(ref)
            named = references((made.body, made.header))
            if isinstance(made.body, Dataset):
                waiting.update(part.shard for part in parts_of(registry, ref))
                if not isinstance(made.body.previous, UnsetType):
                    named -= {made.body.previous}  # nobody asked for the version before, whose shards may be others
            waiting |= named
            for model in made.body.models if isinstance(made.body, Shard) else ():
                if model.teacher not in terms:
                    [teacher] = registry.every(ListedTeacher, ref=model.teacher)
                    terms[model.teacher] = teacher.terms
                waiting.update(terms[model.teacher])
    return found


def _write_bytes(
    registry: OpenRegistry,
    folder: Path,
    statements: Mapping[str, Statement],
    under: str | None,
    progress: Progress | None,
    gone: Collection[str] = (),
) -> tuple[int, int]:
    """Write the shards, but those that are `gone`, and the other objects that the statements name; returns how many of each."""
    shards: dict[str, str] = {}
    others: dict[str, str] = {}
    for ref, made in statements.items():
        digests = [bare(digest) for digest in named_objects(made.body)]
        if isinstance(made.body, Shard):
            file = digests.pop(0)
            if isinstance(made.header.amends, UnsetType) or file not in shards:  # a correction is of the same file
                shards[file] = ref
            if ref in gone or made.header.amends in gone:
                shards.pop(file, None)
        if not isinstance(made.body, Terms):  # an archived text may be somebody else's to give
            others.update(dict.fromkeys(digests, ref))
    total = len(shards) + len(others)
    for count, (digest, ref) in enumerate(shards.items(), 1):
        _copy(registry.place.shard_file(ref, statements[ref].body, under)[0], digest, folder / "shards" / f"{digest}.parquet")
        if progress:
            progress("copying", count, total)
    for count, (digest, ref) in enumerate(others.items(), len(shards) + 1):
        _copy(io.BytesIO(registry.place.object(digest, ref)), digest, folder / "objects" / digest)
        if progress:
            progress("copying", count, total)
    return len(shards), len(others)


def _write_receipts(folder: Path, receipts: Mapping[int, Receipt]) -> None:
    (folder / "receipts").mkdir()
    for seq, receipt in receipts.items():
        write_durably(folder / "receipts" / f"{seq}.tlog-proof", receipt.to_bytes())


def _copy(source: BinaryIO, digest: str, path: Path) -> None:
    """Copy an object; what does not have its digest is not handed out."""
    path.parent.mkdir(exist_ok=True)
    seen = hashlib.sha256()
    partial = path.with_name(path.name + ".partial")
    with source, partial.open("wb") as target:
        while block := source.read(1 << 20):
            seen.update(block)
            target.write(block)
    if seen.hexdigest() != digest:
        partial.unlink()
        raise VerificationError(
            f"object {digest}: expected bytes of this SHA-256, found {seen.hexdigest()}", hint="inbond verify"
        )
    partial.rename(path)


def _expect_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(f"{folder} exists and is not empty: expected a new or empty folder")
