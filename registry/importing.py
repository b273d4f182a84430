"""Files of outputs become shards on record, and last a dataset version.

An import is known by its identity: importer and version, digests of the inputs, options, declared facts, teacher. Each of
its shards has an ordinal, unique in the log, so the same import again changes nothing, and one that was interrupted goes
on with the first shard that is missing: shard borders depend on the records alone. The dataset statement comes last, so
an import that fails leaves no dataset version.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from inbond.registry import catalogue
from inbond.registry.facts import fill, template, undeclared
from inbond.registry.importers import Importer, Input, Rejected, Tally, importer
from inbond.registry.opened import OpenRegistry
from inbond.registry.place import ImportedShard
from inbond.registry.recorder import Said
from inbond.registry.shards.records import Record
from inbond.registry.shards.writer import MAX_ROWS, ShardBatcher, WrittenShard, write_shard
from inbond.registry.versions import extend_dataset, parts_of, versions_of
from inbond.schemas.columns import SCHEMA_ID
from inbond.schemas.declared import Declared, Reason, known, unknown
from inbond.schemas.errors import Conflict, InvalidInput, NotFound
from inbond.schemas.scalars import EMPTY_LIST, Role
from inbond.schemas.statement import digest_of
from inbond.schemas.statements import (
    Basis,
    InputLine,
    ModelRole,
    Shard,
    ShardCounts,
    ShardKind,
    ShardModel,
    Teacher,
    Tokens,
)
from inbond.schemas.statements import Importer as ImporterId

Progress = Callable[[str, int, int], None]
"""Told (what, done, total) as work goes on; units are bytes for files."""


@dataclass
class ImportResult:
    """What an import did. `unchanged` says that all of it was on record before; counts are those of this pass."""

    dataset: str
    name: str
    shards: list[str] = field(default_factory=list)
    written: int = 0
    records: int = 0
    empty: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    duplicate_ids: int = 0
    not_known: list[str] = field(default_factory=list)
    unchanged: bool = False


def import_files(
    registry: OpenRegistry,
    format: str,
    files: Sequence[str | Path],
    *,
    teacher: str,
    dataset: str,
    create: bool = False,
    append: bool = False,
    facts: Mapping[str, Any] | None = None,
    options: Mapping[str, str] | None = None,
    on_reject: Callable[[Rejected], None] | None = None,
    progress: Progress | None = None,
    max_rows: int = MAX_ROWS,
) -> ImportResult:
    """Import `files` of one teacher's outputs and put them into `dataset`.

    A dataset that exists is left alone, with a Conflict, unless `append` says that it is to have a new version, which
    extends the last by the new shards; the same import again changes nothing. `facts` are declared facts (see
    `facts.fill`), `options` the importer's. A record that cannot be read fails the import, unless `on_reject` takes it.
    With `create` the teacher and its party are put on record where they are missing, once there is a shard to record.
    `max_rows` bounds a shard.
    """
    if not files or max_rows < 1:
        raise InvalidInput("expected at least one file to import and one row a shard, found none")
    if missing := [str(path) for path in files if not Path(path).exists()]:
        raise NotFound(f"expected a file, found nothing at {', '.join(missing)}")
    work = _Import(registry, importer(format), options or {}, dataset, on_reject, progress, max_rows)
    given = dict(facts or {})
    work.name_teacher(teacher, create, given.pop("teacher", {}))
    work.declare(given)
    work.read_inputs(files)
    work.check_dataset(append)
    return work.run()


class _Import:
    """One import as it goes on."""

    def __init__(
        self,
        registry: OpenRegistry,
        format: Importer,
        options: Mapping[str, str],
        dataset: str,
        on_reject: Callable[[Rejected], None] | None,
        progress: Progress | None,
        max_rows: int,
    ) -> None:
        self.registry, self.format, self.dataset, self.max_rows = registry, format, dataset, max_rows
        self.options = format.check_options(options)
        self.on_reject, self.progress = on_reject, progress
        self.teacher = _NOBODY
        self.make_teacher: Callable[[], str] | None = None
        self.facts: dict[str, Any] = {}
        self.not_known: list[str] = []
        self.inputs: list[Input] = []
        self.identity = ""
        self.tally = Tally()
        self._starts: list[int] = []  # records that came before each input

    def name_teacher(self, spec: str, create: bool, facts: Mapping[str, Any]) -> None:
        """Find the teacher; one that is missing is made later, when there is something to say about it."""
        try:
            self.teacher = self.registry.resolve(spec, "teacher")
        except NotFound:
            if not create:
                raise catalogue.no_teacher(spec) from None
            catalogue.split_teacher(spec)
            self.make_teacher = lambda: catalogue.add_teacher(self.registry, spec, facts, True, None).ref

    def declare(self, given: Mapping[str, Any]) -> None:
        """Turn declared facts into fields of the shard statement, checked before anything is read."""
        draft = fill(Shard, given, fixed=_PLACEHOLDER | self._models(given, 0), where="facts", resolve=self._resolve)
        names = [name for name in Shard.__struct_fields__ if name not in _PLACEHOLDER and name != "models"]
        self.facts = {name: getattr(draft, name) for name in names}
        self.not_known = [path for path in undeclared(draft) if path.partition(".")[0] in self.facts]

    def read_inputs(self, files: Sequence[str | Path]) -> None:
        """Hash every input once; what is parsed later is compared with this pass."""
        for path in files:
            total = Path(path).stat().st_size if Path(path).is_file() else 0
            self.inputs.append(Input(path, self._ticker(f"hashing {Path(path).name}", total)))
        self.identity = self._identity()

    def _identity(self) -> str:
        return digest_of(
            {
                "importer": [self.format.name, self.format.version],
                "inputs": self._input_digests(),
                "options": self.options | ({"on_error": "skip"} if self.on_reject else {}),
                "facts": {name: msgspec.to_builtins(value) for name, value in self.facts.items()},
                "teacher": self.teacher,
            }
            | ({"max_rows": self.max_rows} if self.max_rows != MAX_ROWS else {})
        )

    def _input_digests(self) -> list[str]:
        return [f"sha256:{source.digest.removeprefix('sha256:')}" for source in self.inputs]

    def check_dataset(self, append: bool) -> None:
        """Raise Conflict rather than mix what somebody may not have meant to mix, or hold the same records twice."""
        every = versions_of(self.registry, self.dataset.partition("@")[0])
        if not every:
            return
        newest, name = every[-1], every[-1].name
        mine = {shard.ref for shard in self._on_record().values()}
        if mine and mine & {part.shard for part in parts_of(self.registry, newest.ref)}:
            return  # the same import again
        doubled = self.registry.place.doubled(newest.ref, self.teacher, self._input_digests())
        if doubled:
            raise Conflict(
                f"dataset {name} holds records of the same file already ({min(doubled)}), imported with other facts or options: "
                "expected another file",
                hint="import into another dataset: --dataset NAME",
            )
        if not append:
            raise Conflict(
                f"dataset {name} is on record with {newest.records} records: expected the name of a new dataset",
                hint="--dataset NAME for a new one\n--append to make a version that adds to it",
            )

    def run(self) -> ImportResult:
        """Write what is missing, and last the dataset version."""
        found = self._on_record()
        refs: list[tuple[str, int]] = []
        written = 0
        last: list[Said] = []  # goes on record with the dataset version: one transaction less
        rejected: dict[str, int] = {}
        size = sum(source.size for source in self.inputs)
        stream = self.format.records(self._counted(), self.options, self._ticker("reading", size))
        for ordinal, part in enumerate(ShardBatcher(self.max_rows).split(self.tally.over(stream, self.on_reject))):
            if ordinal in found:
                ref, rows = found[ordinal].ref, found[ordinal].rows
                self._skip(part, ref, rows)
            else:
                first = sum(rows for _, rows in refs)
                shard = write_shard(self.registry.place.objects, part, metadata={"inbond.origin": self.registry.origin})
                seen = dict(self.tally.rejected)
                here = {
                    reason: count - rejected.get(reason, 0) for reason, count in seen.items() if count > rejected.get(reason, 0)
                }
                self._record(last)
                if self.make_teacher is not None:
                    self.teacher, self.make_teacher = self.make_teacher(), None
                    self.identity = self._identity()
                last = [self._said(shard, ordinal, first, here)]
                ref, rows = last[0].ref, shard.rows
                written += 1
            rejected = dict(self.tally.rejected)
            refs.append((ref, rows))
        if not refs:
            raise InvalidInput(f"{', '.join(source.name for source in self.inputs)}: expected at least one record, found none")
        return self._finish(refs, written, last)

    def _on_record(self) -> dict[int, ImportedShard]:
        return self.registry.place.imported(self.identity)

    def _counted(self) -> Iterator[Input]:
        for source in self.inputs:
            self._starts.append(self.tally.records)
            yield source

    def _skip(self, part: Iterable[Record], ref: str, rows: int) -> None:
        found = sum(1 for _ in part)
        if found != rows:
            raise InvalidInput(f"{ref} is on record with {rows} rows: expected the same from the same inputs, found {found}")

    def _record(self, said: list[Said]) -> None:
        if said:
            self.registry.recorder.record_all(said)

    def _said(self, shard: WrittenShard, ordinal: int, first: int, rejected: Mapping[str, int]) -> Said:
        fixed = self.facts | self._models({}, shard.rows) | {
            "kind": ShardKind.TEXT,
            "file": shard.digest,
            "size": shard.size,
            "block_root": shard.block_root,
            "record_root": shard.record_root,
            "rows": shard.rows,
            "tokens": _tokens(shard),
            "schema_id": SCHEMA_ID,
            "importer": ImporterId(id=self.format.name, version=self.format.version),
            "import_identity": self.identity,
            "ordinal": ordinal,
            "inputs": self.registry.place.objects.put_lines(self._input_lines(first, first + shard.rows)),
            "counts": ShardCounts(
                received=shard.rows + sum(rejected.values()), kept=shard.rows, empty=shard.empty, rejected=dict(rejected)
            ),
            "derived_from": EMPTY_LIST,
        }  # fmt: skip
        return Said("shard", Shard(**fixed), [self.registry.keys.role(Role.PRODUCER)], basis=Basis.OBSERVED)

    def _models(self, given: Mapping[str, Any], rows: int) -> dict[str, Any]:
        return {"models": (ShardModel(teacher=self.teacher, role=ModelRole.RESPONSE, rows=known(rows)),)}

    def _input_lines(self, first: int, last: int) -> list[InputLine]:
        """Which inputs the records [first, last) of the import came from."""
        ends = [*self._starts[1:], 2**62]
        lines = []
        for source, start, end in zip(self.inputs, self._starts, ends, strict=False):
            rows = min(end, last) - max(start, first)
            if rows > 0:
                lines.append(InputLine(digest=f"sha256:{source.digest.removeprefix('sha256:')}", rows=rows, retained=False))
        return lines

    def _finish(self, refs: list[tuple[str, int]], written: int, last: list[Said]) -> ImportResult:
        result = ImportResult("", "", [ref for ref, _ in refs], written)
        result.records, result.empty = self.tally.records, self.tally.empty_responses
        result.rejected, result.duplicate_ids = dict(self.tally.rejected), self.tally.duplicate_ids
        result.not_known = self.not_known
        found = extend_dataset(self.registry, self.dataset, refs, last)
        result.dataset, result.name, result.unchanged = found.ref, found.name, not found.is_new and not written
        return result

    def _ticker(self, what: str, total: int) -> Callable[[int], None] | None:
        if self.progress is None:
            return None
        tell, done = self.progress, 0

        def tick(count: int) -> None:
            nonlocal done
            done += count
            tell(what, done, total)

        return tick

    def _resolve(self, _path: str, text: str) -> str:
        return self.registry.resolve(text)


def facts_template() -> str:
    """A TOML file of what can be declared about an import and, in the table `teacher`, about a teacher it creates."""
    about_teacher = template(Teacher, ("party", "model", "version", "same_as_student"))
    return (
        template(Shard, {*_PLACEHOLDER, "models"})
        + "\n# For a teacher that the import creates (--create); take the # before [teacher] away as well.\n#[teacher]\n"
        + about_teacher
    )


def _tokens(shard: WrittenShard) -> Declared[Tokens]:
    if shard.prompt_tokens is None and shard.response_tokens is None:
        return unknown(Reason.NOT_RECORDED_BY_SOURCE)
    sums = [
        unknown(Reason.NOT_RECORDED_BY_SOURCE) if n is None else known(n) for n in (shard.prompt_tokens, shard.response_tokens)
    ]
    return known(Tokens(tokenizer=unknown(Reason.NOT_RECORDED_BY_SOURCE), prompt=sums[0], response=sums[1]))


_NOBODY = "teacher:" + "0" * 32
_NO_DIGEST = "sha256:" + "0" * 64
_PLACEHOLDER: dict[str, Any] = {
    "kind": ShardKind.TEXT,
    "file": _NO_DIGEST,
    "size": 0,
    "block_root": _NO_DIGEST,
    "record_root": _NO_DIGEST,
    "rows": 0,
    "tokens": unknown(),
    "schema_id": SCHEMA_ID,
    "codec": UNSET,
    "text_shard": UNSET,
    "signal": UNSET,
    "importer": ImporterId(id="none", version="none"),
    "import_identity": _NO_DIGEST,
    "ordinal": 0,
    "inputs": EMPTY_LIST,
    "counts": ShardCounts(received=0, kept=0, empty=0, rejected={}),
    "derived_from": EMPTY_LIST,
    "derivation": UNSET,
}
"""What is measured: not for anyone to declare, and not part of the identity."""
