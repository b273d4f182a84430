"""Bytes that leave: the delivery is on record first, then a folder appears, whole, that outsiders can check by themselves.

receipts/<seq>.tlog-proof      entries with their proofs, among them genesis, every key, and runs whose keys signed
shards/<sha256>.parquet        verified while they are copied
objects/<sha256>               the lists and texts that those entries name
log/                           with `with_log`: the whole log as static files

In a format of others there are data/ and lineage.json instead of shards/; see `exporting`.
"""

import hashlib
import io
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from msgspec import UnsetType
from sqlalchemy import select

from inbond.ledger import checkpoints, notes
from inbond.ledger.export import export
from inbond.ledger.files import appearing, write_durably
from inbond.ledger.receipts import Receipt
from inbond.registry import tables as t
from inbond.registry.listing import ListedKey, ListedTeacher
from inbond.registry.mentions import named_objects, references
from inbond.registry.objects import bare
from inbond.registry.opened import OpenRegistry
from inbond.registry.reading import statement_of
from inbond.registry.times import now
from inbond.registry.training import runs
from inbond.registry.training.layout import shards_in
from inbond.registry.versions import parts_of
from inbond.registry.withdrawn import withdrawn
from inbond.schemas.errors import Conflict, InvalidInput, VerificationError
from inbond.schemas.statement import Statement
from inbond.schemas.statements import Dataset, Extent, GrantMode, Shard, Terms

if TYPE_CHECKING:
    from inbond.registry.exporting import Export

Progress = Callable[[str, int, int], None]

BUNDLE = "bundle"
"""The format of whole shards as they are, which `inbond-verify` checks to the last byte."""
LINEAGE = "lineage.json"
"""The file beside data in a format of others that says what they are made of."""
DATA = "data"
"""The folder of those data."""


@dataclass(frozen=True)
class Delivered:
    """What was written: the deliveries on record, and how many shards, objects and receipts the folder holds.

    In a format of others it holds `files` with `records`, no shards; `left_out` counts rows that had no place there, by reason.
    """

    folder: Path
    deliveries: tuple[str, ...]
    shards: int
    objects: int
    receipts: int
    files: int = 0
    records: int = 0
    left_out: dict[str, int] = field(default_factory=dict)


def deliver_to_run(
    registry: OpenRegistry,
    datasets: Sequence[str],
    *,
    student: str,
    run: str,
    folder: Path,
    progress: Progress | None = None,
    format: str = BUNDLE,
    format_options: Mapping[str, str] | None = None,
    split: str = "train",
    **options: str | int,
) -> Delivered:
    """Open or continue the run, get a grant for export, record a delivery for each dataset, and write the folder.

    The run counts as exposed to everything that was delivered: to whole shards in a bundle, in a format of others to the rows
    of the datasets' `split`, with the log-probabilities that stand beside them, whether the format writes those or not.
    """
    from inbond.schemas.columns import TEXT_SCHEMA  # with pyarrow, which few processes need

    _expect_empty(folder)
    export = _begun(registry, format, [registry.resolve(each, "dataset") for each in datasets], format_options, split)
    options["split"] = split
    opened = runs.open_run(registry, datasets, student=student, name=run, **options)  # type: ignore[arg-type]
    granted = runs.grant(registry, opened, GrantMode.EXPORT if export is None else GrantMode.ROWS, tuple(TEXT_SCHEMA.names))
    deliveries = [delivery.ref for delivery in registry.place.deliver(grant=granted.ref)]
    about = [*(registry.resolve(dataset, "dataset") for dataset in datasets), *deliveries]
    return _appear(registry, folder, about, deliveries, granted.ref, progress, export)


def export_dataset(
    registry: OpenRegistry,
    dataset: str,
    folder: Path,
    *,
    recipient: str | None = None,
    progress: Progress | None = None,
    format: str = BUNDLE,
    format_options: Mapping[str, str] | None = None,
    split: str | None = None,
) -> Delivered:
    """Record a delivery of one dataset version to `recipient` (not known unless given), and write the folder.

    `format` is a bundle of whole shards, or one of `exporters` with its options, for rows of one split or of all.
    """
    _expect_empty(folder)
    ref = registry.resolve(dataset, "dataset")
    to = None if recipient is None else registry.resolve(recipient, "party")
    if format == BUNDLE and split is not None:
        raise InvalidInput(f"format {BUNDLE}: expected no split, as it holds whole shards, found {split!r}", hint="--format NAME")
    export = _begun(registry, format, [ref], format_options, split)
    [delivery] = registry.place.deliver(object=ref, recipient=to, extent=None if export is None else Extent.ROWS)
    return _appear(registry, folder, [ref, delivery.ref], [delivery.ref], delivery.ref, progress, export)


def _begun(
    registry: OpenRegistry, format: str, datasets: Sequence[str], options: Mapping[str, str] | None, split: str | None
) -> "Export | None":
    """What writes the data in a format of others, None for a bundle; what the format cannot hold is refused now."""
    if format == BUNDLE:
        if options:
            raise InvalidInput(f"format {BUNDLE}: expected no options, found {', '.join(options)}")
        return None
    from inbond.registry.exporting import Export  # with pyarrow, which few processes need

    return Export(registry, format, datasets, options=options, split=split)


def _appear(
    registry: OpenRegistry,
    folder: Path,
    about: Iterable[str],
    deliveries: Sequence[str],
    under: str,
    progress: Progress | None,
    export: "Export | None",
) -> Delivered:
    """Build the folder beside its place, and give it its name when all of it is there."""
    with appearing(folder) as building:
        done = write_bundle(registry, building, about, deliveries, under, progress, export)
    return replace(done, folder=folder)


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
    export: "Export | None" = None,
) -> Delivered:
    """Write what shows `about` (references) to be on record, with the bytes of its shards, to `folder`.

    `under` is the grant or delivery that lets the shards leave. With `export` their rows leave in its format instead.
    """
    folder.mkdir(parents=True, exist_ok=True)
    statements = _closure(registry, about)
    files = [] if export is None else export.write(folder / DATA, under or "", progress)
    shards, objects = _write_bytes(registry, folder, statements, under, progress, () if export is None else statements)
    receipts, size = write_receipts(registry, folder, statements)
    if export is None:
        return Delivered(folder, tuple(deliveries), shards, objects, receipts)
    told: dict[str, Any] = {"tree_size": size, "deliveries": deliveries, "under": under}
    write_durably(folder / LINEAGE, export.lineage(files, statements, told))
    count = sum(file["records"] for file in files)
    return Delivered(folder, tuple(deliveries), 0, objects, receipts, len(files), count, export.left_out)


def write_receipts(registry: OpenRegistry, folder: Path, about: Iterable[str]) -> tuple[int, int]:
    """Write the receipts of what made `about` (references), of genesis and of every key; how many, and the size of their head."""
    seqs = {thing.entry for thing in registry.place.things(about).values()}
    seqs.update({0}, *(key.entries for key in registry.every(ListedKey)))
    newest = registry.place.receipt(max(seqs)).checkpoint
    size = checkpoints.parse(notes.parse(newest).text).size  # one head for all, so that nobody asks how several hang together
    _write_receipts(folder, {seq: registry.place.receipt(seq, size) for seq in sorted(seqs)})
    return len(seqs), size


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
                waiting.update(shards_in(parts_of(registry, ref)))
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
        digests = [bare(digest) for digest in named_objects(made.body, made.header)]
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
