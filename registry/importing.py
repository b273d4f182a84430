"""Files of outputs become shards on record, and last a dataset version.

An import is known by its identity: importer and version, digests of the inputs, options, declared facts, teacher. Each of
its shards has an ordinal, unique in the log, so the same import again changes nothing, and one that was interrupted goes
on with the first shard that is missing: shard borders depend on the records alone. The dataset statement comes last, so
an import that fails leaves no dataset version.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import Any

from inbond.registry import catalogue
from inbond.registry.import_said import NOBODY, ImportSaid, Told
from inbond.registry.importers import Importer, Input, Rejected, Tally, importer
from inbond.registry.importers.observed import Observed
from inbond.registry.importers.workers import MUCH, convert_apart, cores
from inbond.registry.observing import SIGNALS, Beside, Keeping, Meaning, size_of
from inbond.registry.opened import OpenRegistry
from inbond.registry.place import ImportedShard
from inbond.registry.recorder import Said
from inbond.registry.shards.records import Record
from inbond.registry.shards.writer import MAX_ROWS, ShardBatcher, write_shard
from inbond.registry.versions import Added, extend_dataset, parts_of, versions_of
from inbond.schemas.errors import Conflict, InvalidInput, NotFound
from inbond.schemas.scalars import ObjectList
from inbond.schemas.statement import digest_of
from inbond.schemas.statements import InputLine, Signal

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
    unanswered: int = 0
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
    keeping: Keeping | None = None,
    jobs: int | None = None,
) -> ImportResult:
    """Import `files` of one teacher's outputs and put them into `dataset`.

    A dataset that exists is left alone, with a Conflict, unless `append` says that it is to have a new version, which
    extends the last by the new shards; the same import again changes nothing. `facts` are declared facts (see
    `facts.fill`), `options` the importer's. A record that cannot be read fails the import, unless `on_reject` takes it.
    With `create` the teacher and its party are put on record where they are missing, once there is a shard to record.
    `max_rows` bounds a shard. Log-probabilities that come with records become shards of their own; `keeping` says how (exactly,
    unless given). With `jobs` above 1 as many other processes convert the records, with the same result; unless given, as
    many as there are cores, and none for little input.
    """
    if jobs is not None and jobs < 1:
        raise InvalidInput(f"jobs: expected at least one, found {jobs}")
    if not files or max_rows < 1:
        raise InvalidInput("expected at least one file to import and one row a shard, found none")
    if missing := [str(path) for path in files if not Path(path).exists()]:
        raise NotFound(f"expected a file, found nothing at {', '.join(missing)}")
    work = _Import(registry, importer(format), options or {}, dataset, on_reject, progress, max_rows, keeping or Keeping(), jobs)
    given = dict(facts or {})
    work.name_teacher(teacher, create, given.pop("teacher", {}))
    work.said.declare(given, work.teacher)
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
        keeping: Keeping,
        jobs: int | None,
    ) -> None:
        self.registry, self.format, self.dataset, self.max_rows = registry, format, dataset, max_rows
        self.options = format.check_options(options)
        self.on_reject, self.progress, self.jobs = on_reject, progress, jobs
        self.meaning = Meaning(keeping)
        self.said = ImportSaid(registry, format)
        self.teacher = NOBODY
        self.make_teacher: Callable[[], str] | None = None
        self.inputs: list[Input] = []
        self.identity = ""
        self.tally = Tally()
        self._telling = Lock()  # inputs are hashed at the same time
        self._starts: list[int] = []  # records that came before each input

    def name_teacher(self, spec: str, create: bool, facts: Mapping[str, Any]) -> None:
        """Find the teacher; one that is missing is made later, when there is something to say about it."""
        try:
            self.teacher = self.registry.resolve(spec, "teacher")
        except NotFound:
            if not create:
                raise catalogue.no_teacher(spec) from None
            catalogue.split_teacher(spec)
            self.make_teacher = lambda: catalogue.teacher_of_import(self.registry, spec, facts)

    def read_inputs(self, files: Sequence[str | Path]) -> None:
        """Hash every input once; what is parsed later is compared with this pass."""

        def read(path: str | Path) -> Input:
            total = Path(path).stat().st_size if Path(path).is_file() else 0
            tell = self._ticker(f"hashing {Path(path).name}", total)

            def tick(count: int) -> None:
                if stop.is_set():
                    raise InterruptedError
                if tell is not None:
                    tell(count)

            return Input(path, tick)

        stop = Event()
        with ThreadPoolExecutor(min(len(files), self.jobs or cores()), thread_name_prefix="inbond-hash") as threads:
            try:
                self.inputs = list(threads.map(read, files))
            finally:
                stop.set()  # whatever ends this pass ends it for every file
        self.identity = self._identity()

    def _identity(self) -> str:
        return digest_of(
            {
                "importer": [self.format.name, self.format.version],
                "inputs": self._input_digests(),
                "options": self.options | ({"on_error": "skip"} if self.on_reject else {}),
                "facts": self.said.identity(),
                "teacher": self.teacher,
            }
            | ({"max_rows": self.max_rows} if self.max_rows != MAX_ROWS else {})
            | ({"logits": keeping} if (keeping := self.meaning.identity()) else {})
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
        with closing(self._converted()) as stream:
            return self._write(stream)

    def _converted(self) -> Generator[Record | Observed | Rejected, None, None]:
        """The records of the inputs, converted here or by other processes."""
        size = sum(source.size for source in self.inputs)
        tick = self._ticker("reading", size)
        jobs = self.jobs or (cores() if size >= MUCH else 1)
        if jobs > 1:
            yield from convert_apart(self.format, self.inputs, self.options, jobs, self._begin, tick)
        else:
            yield from self.format.records(self._begun(), self.options, tick)

    def _write(self, stream: Iterable[Record | Observed | Rejected]) -> ImportResult:
        found = self._on_record()
        beside = {signal: self._on_record(signal) for signal in self._signals()}
        parts: list[Added] = []
        written = 0
        last: list[Said] = []  # goes on record with the dataset version: one transaction less
        rejected: dict[str, int] = {}
        for ordinal, part in enumerate(ShardBatcher(size_of, self.max_rows).split(self.tally.over(stream, self.on_reject))):
            missing = [signal for signal, there in beside.items() if ordinal not in there]
            first = sum(each.rows for each in parts)
            pointers = self._pointers() | self.said.engine()
            with Beside(self.registry.place.objects, self.meaning, missing, pointers, first, self._where) as logits:
                records = logits.over(part)
                if ordinal in found:
                    ref, rows = found[ordinal].ref, found[ordinal].rows
                    self._skip(records, ref, rows)
                    shard = None
                else:
                    shard = write_shard(self.registry.place.objects, records, metadata=self._pointers())
                kept = logits.finish()
            if shard is not None or kept:
                self._record(last)
                last = []
            if shard is not None:
                if self.make_teacher is not None:
                    self.teacher, self.make_teacher = self.make_teacher(), None
                    self.identity = self._identity()
                here = Counter(self.tally.rejected) - Counter(rejected)
                told = Told(self.teacher, self.identity, ordinal, self._input_list(first, shard.rows))
                last = [self.said.text(told, shard, here)]
                ref, rows = last[0].ref, shard.rows
            refs = {signal: there[ordinal].ref for signal, there in beside.items() if ordinal in there}
            for each in kept:
                identity = self._identity_of(each.signal)
                last.append(self.said.logits(Told(self.teacher, identity, ordinal, self._input_list(first, rows)), each, ref))
                refs[each.signal] = last[-1].ref
            written += (shard is not None) + len(kept)
            rejected = dict(self.tally.rejected)
            parts.append(Added(ref, rows, tuple(refs[signal] for signal in SIGNALS if signal in refs)))
        if not parts:
            raise InvalidInput(f"{', '.join(source.name for source in self.inputs)}: expected at least one record, found none")
        return self._finish(parts, written, last)

    def _signals(self) -> Sequence[Signal]:
        """The signals that the format's records may come with."""
        return SIGNALS if self.format.logprobs and self.meaning.keeping.level else ()

    def _pointers(self) -> dict[str, str]:
        return {"inbond.origin": self.registry.origin}

    def _on_record(self, signal: Signal | None = None) -> dict[int, ImportedShard]:
        return self.registry.place.imported(self._identity_of(signal))

    def _identity_of(self, signal: Signal | None) -> str:
        """The identity under which shards are on record: of the text, or of a signal beside it."""
        return self.identity if signal is None else digest_of({"import": self.identity, "signal": signal.value})

    def _begun(self) -> Iterator[Input]:
        for source in self.inputs:
            self._begin(source)
            yield source

    def _begin(self, _source: Input) -> None:
        self._starts.append(self.tally.records)

    def _where(self, place: int) -> str:
        """Which file a record of the import is of, and which of the records that it gave."""
        source = bisect_right(self._starts, place) - 1
        return f"{self.inputs[source].name}, record {place - self._starts[source] + 1} of those it gave"

    def _skip(self, part: Iterable[object], ref: str, rows: int) -> None:
        found = sum(1 for _ in part)
        if found != rows:
            raise InvalidInput(f"{ref} is on record with {rows} rows: expected the same from the same inputs, found {found}")

    def _record(self, said: list[Said]) -> None:
        if said:
            self.registry.recorder.record_all(said)

    def _input_list(self, first: int, rows: int) -> ObjectList:
        """Which inputs the records [first, first + rows) of the import came from, as a list in the store.

        For a format that joins, also those before them that hold no record, with no rows: requests, of which prompts come.
        """
        last = first + rows
        ends = [*self._starts[1:], 2**62]
        lines: list[InputLine] = []
        waiting: list[InputLine] = []
        for source, start, end in zip(self.inputs, self._starts, ends, strict=False):
            rows = max(0, min(end, last) - max(start, first))
            line = InputLine(digest=f"sha256:{source.digest.removeprefix('sha256:')}", rows=rows, retained=False)
            if rows:
                lines += [*waiting, line]
                waiting.clear()
            elif start == end and self.format.joins:
                waiting.append(line)
        return self.registry.place.objects.put_lines(lines)

    def _finish(self, parts: list[Added], written: int, last: list[Said]) -> ImportResult:
        every = [ref for part in parts for ref in (part.shard, *part.logits)]
        result = ImportResult("", "", every, written)
        result.records, result.empty = self.tally.records, self.tally.empty_responses
        result.rejected, result.duplicate_ids = dict(self.tally.rejected), self.tally.duplicate_ids
        result.unanswered = self.tally.unanswered
        result.not_known = self.said.not_known
        self._record(last)
        found = extend_dataset(self.registry, self.dataset, parts)
        result.dataset, result.name, result.unchanged = found.ref, found.name, not found.is_new and not written
        return result

    def _ticker(self, what: str, total: int) -> Callable[[int], None] | None:
        if self.progress is None:
            return None
        tell, done = self.progress, 0

        def tick(count: int) -> None:
            nonlocal done
            done += count
            with self._telling:
                tell(what, done, total)

        return tick
