"""Dataset versions in formats of others: a folder with data files, what they are made of, and the receipts that show it.

data/<split>-00000-of-00003.<suffix>    rows of one shard a file, and beside them what the format's readers look for
lineage.json                            the versions, shards, rows, teachers and terms behind each file, by entry and receipt
receipts/, objects/                     the receipts of those entries, and the lists that they name, as in a bundle

The folder gets its name when all of it is there. Data files are in a form that no statement names: what `lineage.json` says of
their bytes, nobody signed; what it says of statements, the receipts prove.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import UnsetType

from inbond.registry.exporters import Exporter, Source, exporter
from inbond.registry.exporters.base import LogitsShard, Written
from inbond.registry.listing import ListedTeacher
from inbond.registry.opened import OpenRegistry
from inbond.registry.reading import logits_reader, shard_reader
from inbond.registry.shards.picking import ranges_of
from inbond.registry.training.layout import merged
from inbond.registry.versions import parts_of
from inbond.schemas.errors import InvalidInput
from inbond.schemas.statements import PartLine, Shard

if TYPE_CHECKING:
    from inbond.registry.delivering import Progress
    from inbond.registry.shards.logits_reader import LogitsReader
    from inbond.registry.shards.reader import ShardReader

SCHEMA = "urn:inbond:export:v1"


class Export:
    """Dataset versions (references) on their way into a format, of one split or of all.

    What a format cannot hold is refused here, before anything is on record, as far as statements say it.
    """

    def __init__(
        self,
        registry: OpenRegistry,
        format: str,
        datasets: Sequence[str],
        *,
        options: Mapping[str, str] | None = None,
        split: str | None = None,
    ) -> None:
        self.format: Exporter = exporter(format)
        self.options = self.format.check_options(options or {})
        self._registry, self._datasets = registry, list(datasets)
        self.sources = list(_sources(registry, self._datasets, split))
        if not self.sources:
            raise InvalidInput(f"expected rows in split {split!r}, found none", hint="inbond dataset show DATASET")
        self._writing = self.format.begin(self.sources, self.options)
        self.left_out: dict[str, int] = {}
        """How many rows the format had no place for, by reason; known when all is written."""

    def write(self, data: Path, under: str, progress: "Progress | None" = None) -> list[dict[str, Any]]:
        """Write the new folder `data`; `under` lets the bytes leave. Returns what `lineage.json` says of each file."""
        data.mkdir()
        tick = self._ticker("reading", progress)
        for source in self.sources if self._writing.surveys else ():
            with _opened(self._registry, under) as readers:
                self._writing.survey(source, readers, tick)
        tick = self._ticker("writing", progress)
        files = []
        for name, source in self._named():
            path = data / name
            with _opened(self._registry, under) as readers:
                written = self._writing.write(source, readers, path, tick)
            for reason, count in written.left_out.items():
                self.left_out[reason] = self.left_out.get(reason, 0) + count
            if written.count:
                files.append(self._described(path, source, written))
            else:
                path.unlink()
        if not files:
            why = ", ".join(f"{reason}: {count:,}" for reason, count in self.left_out.items())
            raise InvalidInput(
                f"format {self.format.name}: expected records that it can hold, found none ({why})",
                hint="its options may let them through: inbond dataset export --list",
            )
        for name, content in self._writing.beside().items():
            (data / name).write_bytes(content)
        return files

    def lineage(self, files: Sequence[Mapping[str, Any]], statements: Mapping[str, Any], more: Mapping[str, Any]) -> bytes:
        """`lineage.json`: `statements` are those that the folder has receipts of, `more` what is said of them all."""
        things = self._registry.place.things(statements)
        on_record = {
            ref: {"entry": thing.entry, "receipt": f"receipts/{thing.entry}.tlog-proof", "name": thing.name}
            for ref, thing in things.items()
        }
        shards = {ref: self._shard(ref, made.body) for ref, made in statements.items() if isinstance(made.body, Shard)}
        whole = {
            "schema": SCHEMA,
            "registry": self._registry.origin,
            "genesis": self._registry.place.genesis.hex(),
            **more,
            "format": {"name": self.format.name, "version": self.format.version, "options": self.options},
            "datasets": self._datasets,
            "files": files,
            "shards": shards,
            "left_out": self.left_out,
            "on_record": on_record,
        }
        return _in_lines(whole)

    def _shard(self, ref: str, body: Shard) -> dict[str, Any]:
        """What a shard is, in short: its statement, which `on_record` names, says the rest."""
        models = [{"teacher": model.teacher, "role": model.role.value} for model in body.models]
        terms = {each: self._terms(each) for each in dict.fromkeys(model.teacher for model in body.models)}
        said = {"kind": body.kind.value, "file": body.file, "rows": body.rows, "models": models, "terms": terms}
        if not isinstance(body.text_shard, UnsetType):
            said["text_shard"] = body.text_shard
        return said

    def _terms(self, teacher: str) -> tuple[str, ...]:
        [found] = self._registry.every(ListedTeacher, ref=teacher)
        return found.terms

    def _described(self, path: Path, source: Source, written: Written) -> dict[str, Any]:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.seek(0, os.SEEK_END)
            os.fsync(file.fileno())
        return {
            "path": f"{path.parent.name}/{path.name}",
            "sha256": digest,
            "bytes": size,
            "records": written.count,
            "split": source.split,
            "shard": source.shard,
            "rows": ranges_of(np.concatenate(written.rows)),
            "logits": written.logits,
            "left_out": written.left_out,
        }

    def _named(self) -> Iterator[tuple[str, Source]]:
        """Each source with the name of its file."""
        total: dict[str, int] = {}
        for source in self.sources:
            total[source.split] = total.get(source.split, 0) + 1
        seen: dict[str, int] = {}
        for source in self.sources:
            at = seen[source.split] = seen.get(source.split, -1) + 1
            yield f"{source.split}-{at:05}-of-{total[source.split]:05}{self.format.suffix}", source

    def _ticker(self, what: str, progress: "Progress | None") -> Any:
        total, done = sum(source.count for source in self.sources), 0

        def tick(count: int) -> None:
            nonlocal done
            done += count
            if progress:
                progress(what, done, total)

        return tick


def _sources(registry: OpenRegistry, datasets: Sequence[str], split: str | None) -> Iterator[Source]:
    """The rows of datasets, shard by shard and split by split, in the order of their parts."""
    parts: dict[tuple[str, str], list[PartLine]] = {}
    for dataset in datasets:
        for part in parts_of(registry, dataset):
            if split in (None, part.split):
                parts.setdefault((part.split, part.shard), []).append(part)
    bodies: dict[str, Shard] = {}
    for (name, shard), lines in parts.items():
        refs = dict.fromkeys(ref for line in lines for ref in line.logits or ())
        for ref in (shard, *refs):
            if ref not in bodies:
                bodies[ref] = registry.place.statement(ref).body
        rows = merged(span for line in lines for span in line.rows)
        logits = tuple(LogitsShard(ref, bodies[ref]) for ref in refs)
        yield Source(shard, bodies[shard], tuple(rows), name, logits)


class _Readers:
    """Readers of the shards behind one file, open until all of it is written."""

    def __init__(self, registry: OpenRegistry, under: str, stack: ExitStack) -> None:
        self._registry, self._under, self._stack = registry, under, stack

    def text(self, source: Source) -> "ShardReader":
        """The text of a source."""
        return self._stack.enter_context(shard_reader(self._registry.place, source.shard, source.body, self._under))

    def logits(self, shard: LogitsShard) -> "LogitsReader":
        """A shard of log-probabilities."""
        return self._stack.enter_context(logits_reader(self._registry.place, shard.ref, shard.body, self._under))


@contextmanager
def _opened(registry: OpenRegistry, under: str) -> Iterator[_Readers]:
    with ExitStack() as stack:
        yield _Readers(registry, under, stack)


def _in_lines(whole: Mapping[str, Any]) -> bytes:
    """JSON with a line for each item of each member: there may be many, and people read them."""
    encode = msgspec.json.encode
    members = []
    for name, value in whole.items():
        text = encode(value)
        if isinstance(value, Mapping | list | tuple) and value:
            if isinstance(value, Mapping):
                items = [encode(key) + b": " + encode(each) for key, each in value.items()]
            else:
                items = list(map(encode, value))
            text = text[:1] + b"\n  " + b",\n  ".join(items) + b"\n " + text[-1:]
        members.append(b" " + encode(name) + b": " + text)
    return b"{\n" + b",\n".join(members) + b"\n}\n"
