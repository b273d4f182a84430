"""Bytes that leave: the delivery is on record first, then a folder is written that outsiders can check by themselves.

receipts/<seq>.tlog-proof      entries with their proofs, among them genesis, every key, and runs whose keys signed
shards/<sha256>.parquet        verified while they are copied
objects/<sha256>               the lists and texts that those entries name
log/                           with `with_log`: the whole log as static files
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import UNSET, UnsetType
from sqlalchemy import select

from inbond.ledger.export import export
from inbond.ledger.files import write_durably
from inbond.ledger.reader import LedgerReader
from inbond.registry import gate
from inbond.registry import tables as t
from inbond.registry.mentions import named_objects, references
from inbond.registry.opened import OpenRegistry
from inbond.registry.reading import statement_of
from inbond.registry.recorder import Said
from inbond.registry.training import runs
from inbond.schemas.columns import TEXT_SCHEMA
from inbond.schemas.declared import Reason, known, unknown
from inbond.schemas.errors import Conflict, VerificationError
from inbond.schemas.scalars import Role
from inbond.schemas.statements import Basis, Channel, Dataset, Delivery, GrantMode, Shard, Terms

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
    _expect_empty(folder)
    opened = runs.open_run(registry, datasets, student=student, name=run, **options)  # type: ignore[arg-type]
    granted = runs.grant(registry, opened, GrantMode.EXPORT, tuple(TEXT_SCHEMA.names))
    refs = [registry.resolve(dataset, "dataset") for dataset in datasets]
    deliveries = [_record(registry, ref, opened.owner, Channel.DOWNLOAD, granted.ref) for ref in refs]
    return write_bundle(registry, folder, [*refs, *deliveries], deliveries=deliveries, progress=progress)


def export_dataset(
    registry: OpenRegistry, dataset: str, folder: Path, *, recipient: str | None = None, progress: Progress | None = None
) -> Delivered:
    """Record a delivery of one dataset version to `recipient` (not known unless given), and write the folder."""
    _expect_empty(folder)
    ref = registry.resolve(dataset, "dataset")
    to = None if recipient is None else registry.resolve(recipient, "party")
    delivery = _record(registry, ref, to, Channel.EXPORT, None)
    return write_bundle(registry, folder, [ref, delivery], deliveries=[delivery], progress=progress)


def export_everything(registry: OpenRegistry, folder: Path, progress: Progress | None = None) -> Delivered:
    """Write all entries, shards and objects, and the log itself.

    On record first are deliveries of every dataset's newest version, and of each shard that is in none of them.
    """
    _expect_empty(folder)
    with registry.reading() as reader:
        d, p = t.datasets.c, t.dataset_parts.c
        newest = {(row.owner, row.name): row.ref for row in reader.connection.execute(select(t.datasets).order_by(d.seq))}
        covered = set(reader.connection.execute(select(p.shard).where(p.dataset.in_(newest.values()))).scalars())
        every = reader.connection.execute(select(t.shards.c.ref).order_by(t.shards.c.seq)).scalars()
        leaving = [*newest.values(), *(shard for shard in every if shard not in covered)]
    deliveries = [_record(registry, ref, None, Channel.EXPORT, None) for ref in leaving]
    return write_bundle(registry, folder, None, deliveries=deliveries, with_log=True, progress=progress)


def write_bundle(
    registry: OpenRegistry,
    folder: Path,
    about: Iterable[str] | None,
    *,
    deliveries: Sequence[str] = (),
    with_log: bool = False,
    progress: Progress | None = None,
) -> Delivered:
    """Write what shows `about` (references; None: everything) to be on record, with the shards' bytes, to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with registry.reading() as reader:
        wanted = _closure(registry, reader, about)
        shards, objects = _objects(registry, reader, wanted)
        total = len(shards) + len(objects)
        for count, (digest, name) in enumerate(
            [*((d, f"shards/{d}.parquet") for d in shards), *((d, f"objects/{d}") for d in objects)]
        ):
            _copy(registry, digest, folder / name)
            if progress:
                progress("copying", count + 1, total)
        seqs = _receipts(reader, wanted, everything=about is None)
        for seq in seqs:
            path = folder / "receipts" / f"{seq}.tlog-proof"
            path.parent.mkdir(exist_ok=True)
            write_durably(path, reader.receipt(seq).to_bytes())
        if with_log:
            (folder / "log").mkdir()
            export(reader, folder / "log")
    return Delivered(folder, tuple(deliveries), len(shards), len(objects), len(seqs))


def _record(registry: OpenRegistry, ref: str, recipient: str | None, channel: Channel, grant: str | None) -> str:

    body = Delivery(
        policy=unknown(Reason.NOT_YET),
        object=ref,
        recipient=known(recipient) if recipient else unknown(),
        channel=channel,
        purpose=unknown(),
        grant=grant if grant else UNSET,
    )
    return registry.recorder.record(Said("delivery", body, [registry.keys.role(Role.REGISTRY)], basis=Basis.OBSERVED)).ref


def _closure(registry: OpenRegistry, reader: LedgerReader, about: Iterable[str] | None) -> list[str]:
    """`about` and everything that its statements refer to, and theirs: shards, teachers, parties, grants, runs, rulings."""
    if about is None:
        return list(reader.connection.execute(select(t.things.c.ref).order_by(t.things.c.seq)).scalars())
    found: dict[str, None] = {}
    waiting = list(about)
    while waiting:
        ref = waiting.pop()
        if ref in found:
            continue
        found[ref] = None
        if ref.startswith("dataset:"):
            query = select(t.dataset_parts.c.shard).where(t.dataset_parts.c.dataset == ref).distinct()
            waiting.extend(reader.connection.execute(query).scalars())
        made = statement_of(registry, reader, ref)
        named = references((made.body, made.header)) - found.keys()
        if isinstance(made.body, Dataset) and not isinstance(made.body.previous, UnsetType):
            named -= {made.body.previous}  # nobody asked for the version before, whose shards may be others
        waiting.extend(named)
        if isinstance(made.body, Shard):
            waiting.extend(
                terms for model in made.body.models for terms in gate.applicable_terms(reader.connection, model.teacher)
            )
    return list(found)


def _objects(registry: OpenRegistry, reader: LedgerReader, wanted: Iterable[str]) -> tuple[list[str], list[str]]:
    """Bare digests of the shard files and of the other objects that the statements name."""
    shards: dict[str, None] = {}
    others: dict[str, None] = {}
    for ref in wanted:
        if ref.partition(":")[0] == "party":
            continue
        body = statement_of(registry, reader, ref).body
        digests = [digest.removeprefix("sha256:") for digest in named_objects(body)]
        if isinstance(body, Shard):
            shards[digests.pop(0)] = None
        if not isinstance(body, Terms):  # an archived text may be somebody else's to give
            others.update(dict.fromkeys(digests))
    return list(shards), list(others)


def _receipts(reader: LedgerReader, wanted: Iterable[str], *, everything: bool) -> list[int]:
    if everything:
        return list(range(reader.size))
    seqs = {reader.seq_of(ref.partition(":")[2]) for ref in wanted}
    seqs.update(seq for seq, _ in reader.entries(kinds=("genesis", "key")))
    return sorted(seqs)


def _copy(registry: OpenRegistry, digest: str, path: Path) -> None:
    """Copy an object; what does not have its digest is not handed out."""
    path.parent.mkdir(exist_ok=True)
    seen = hashlib.sha256()
    partial = path.with_name(path.name + ".partial")
    with registry.store.open(digest) as source, partial.open("wb") as target:
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
