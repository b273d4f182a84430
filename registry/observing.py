"""Log-probabilities that came with imported records become shards of their own, beside the text shard of the same rows.

What a teacher generated and what it scored are two signals, and a shard each. How their ids are meant is settled by the first
record that has any: ids of the source under the tokenizer that the caller names, ids that this tokenizer gives to the texts of
the source, or, where none is named, ids of a table of those texts, which is kept beside the shard.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from inbond.registry.importers.observed import Observed, TokenLogprobs
from inbond.registry.importers.vocabulary import Tokenizer, TokenTable, Vocabulary, observed
from inbond.registry.objects import ObjectSink
from inbond.registry.shards.describing import SIGNAL_KEY, signal_told
from inbond.registry.shards.distributions import Selection
from inbond.registry.shards.logits import Level, LogitsCodec
from inbond.registry.shards.logits_writer import LogitsWriter, WrittenLogits
from inbond.registry.shards.records import Identified, Record, content_ids, text_size
from inbond.schemas.declared import Declared, Reason, known, unknown
from inbond.schemas.errors import InvalidInput
from inbond.schemas.statements import LogprobKind, Signal, Truncation, TruncationMethod

SIGNALS = (Signal.GENERATED, Signal.SCORED)


@dataclass(frozen=True, slots=True)
class Keeping:
    """How log-probabilities of an import are kept.

    `level` None keeps none of them. `tokenizer` is a tokenizer's file, or its digest (`sha256:…`) where the source gives ids;
    `vocabulary` is the size of the model's vocabulary where it is not the tokenizer's. `kind` says whether sampling settings
    changed the log-probabilities.
    """

    level: Level | None = Level.EXACT
    tokenizer: str | Path | None = None
    vocabulary: int | None = None
    kind: LogprobKind = LogprobKind.UNKNOWN


class Meaning:
    """What the ids of an import mean, settled by the first record that has log-probabilities. Made once an import."""

    def __init__(self, keeping: Keeping) -> None:
        self.keeping = keeping
        self._file = _read_tokenizer(keeping)
        self._found: dict[bool, Vocabulary] = {}

    def identity(self) -> dict[str, Any]:
        """What of it is part of an import's identity: nothing where all is left as it is."""
        keeping, told = self.keeping, dict[str, Any]()
        if keeping.level is not Level.EXACT:
            told["level"] = keeping.level.value if keeping.level else "none"
        if keeping.tokenizer is not None:
            told["tokenizer"] = self._file.digest if self._file else str(keeping.tokenizer)
        if keeping.vocabulary is not None:
            told["vocabulary"] = keeping.vocabulary
        if keeping.kind is not LogprobKind.UNKNOWN:
            told["logprobs"] = keeping.kind.value
        return told

    def vocabulary(self, found: TokenLogprobs) -> Vocabulary:
        """What the tokens of `found` are of: one vocabulary for ids, and one for texts. A table of texts grows."""
        vocabulary = self._found.get(found.has_ids)
        if vocabulary is None:
            vocabulary = self._found[found.has_ids] = self._settle(found)
        return vocabulary

    def _settle(self, found: TokenLogprobs) -> Vocabulary:
        keeping = self.keeping
        if not found.has_ids:
            if self._file is not None:
                return self._file
            if keeping.tokenizer is not None:
                raise InvalidInput(
                    "expected a tokenizer's file for texts of tokens, found its digest",
                    hint="--tokenizer FILE, or none for a table of the texts",
                )
            return TokenTable()
        if keeping.tokenizer is None:
            raise InvalidInput(
                "expected the tokenizer that they are of, found none",
                hint="--tokenizer FILE, or --tokenizer sha256:… --vocabulary N\n--logits none to leave them out",
            )
        size = keeping.vocabulary or (self._file.size if self._file else None)
        if size is None:
            raise InvalidInput(
                "tokenizer: expected the size of its vocabulary with its digest, found none", hint="--vocabulary N"
            )
        return observed(self._file.digest if self._file else str(keeping.tokenizer), size)


@dataclass(frozen=True, slots=True)
class Kept:
    """A shard of log-probabilities that was written: its signal, and what was measured."""

    signal: Signal
    written: WrittenLogits


def size_of(item: Record | Observed) -> int:
    """About how many bytes a record takes, with what came beside it: for the borders of shards."""
    if not isinstance(item, Observed):
        return text_size(item)
    entries = sum(len(found.alternatives) for found in (item.generated, item.scored) if found is not None)
    return text_size(item.record) + 4 * entries


class Beside:
    """Writes the log-probabilities of one text shard's records as they go by; a context manager.

    `wanted` are the signals to write: none where the import keeps none, or has them on record. `first` is the place of its first
    record in the import, `where` says for messages what stands at a place (from 0).
    """

    def __init__(
        self,
        store: ObjectSink,
        meaning: Meaning,
        wanted: Iterable[Signal],
        metadata: Mapping[str, str],
        first: int,
        where: Callable[[int], str],
    ) -> None:
        self._next, self._where = first, where
        self._streams = [_Stream(signal, store, meaning, metadata) for signal in wanted if meaning.keeping.level]

    def over(self, items: Iterable[Record | Observed]) -> Iterator[Record | Identified]:
        """The records of `items`, with the token ids that their log-probabilities gave them. Raises InvalidInput."""
        for item in items:
            record, ids = (item.record, item.ids) if isinstance(item, Observed) else (item, None)
            if self._streams:
                yield self._take(record, ids or content_ids(record), item if isinstance(item, Observed) else None)
            else:
                yield record if ids is None else Identified(record, ids)

    def finish(self) -> list[Kept]:
        """The shards that were written."""
        kept = [found for stream in self._streams if (found := stream.finish()) is not None]
        return kept

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *told: Any) -> None:
        for stream in self._streams:
            stream.close()

    def _take(self, record: Record, ids: tuple[bytes, bytes | None], item: Observed | None) -> Identified:
        place = self._next
        self._next += 1
        for stream in self._streams:
            try:
                found = stream.add(ids[0], getattr(item, stream.signal.value, None))
            except InvalidInput as error:
                said = f"{self._where(place)}, {stream.signal.value} log-probabilities: {error.message}"
                raise InvalidInput(said, hint=error.hint) from None
            if found is not None and record.input_ids is None:  # which are no part of the ids, those of content
                record = msgspec.structs.replace(record, input_ids=tuple(found.tolist()))
        return Identified(record, ids)


class _Stream:
    """One signal of one shard: nothing is written before the first record that has it."""

    def __init__(self, signal: Signal, store: ObjectSink, meaning: Meaning, metadata: Mapping[str, str]) -> None:
        self.signal = signal
        self._store, self._meaning, self._metadata = store, meaning, metadata
        self._before: list[bytes] = []  # record ids of rows that came before the first that has log-probabilities
        self._vocabulary: Vocabulary | None = None
        self._codec: LogitsCodec | None = None
        self._writer: LogitsWriter | None = None
        self._most = 0

    def add(self, identity: bytes, given: TokenLogprobs | None) -> NDArray[np.uint32] | None:
        """Take the next row: its record id, and what came with it; returns its token ids where a tokenizer names them."""
        if given is None or not len(given.tokens):
            if self._writer is None:
                self._before.append(identity)
            else:
                self._writer.add(identity, None)
            return None
        vocabulary = self._meaning.vocabulary(given)
        found = vocabulary.distributions(given)
        if self._writer is None or self._codec is None:
            self._vocabulary, self._codec = vocabulary, self._codec_of(given, vocabulary)
            self._writer = LogitsWriter(
                self._store, self._codec, metadata={**self._metadata, SIGNAL_KEY: signal_told(self.signal)}
            )
            for earlier in self._before:
                self._writer.add(earlier, None)
            self._before.clear()
        elif vocabulary is not self._vocabulary:
            raise InvalidInput("expected token ids in every record or in none, found both")
        elif (self._codec.selection, self._codec.positions) != (given.selection, self._positions(given)):
            raise InvalidInput(
                f"expected {self._codec.selection.value} over a {self._codec.positions} in every record, "
                f"found {given.selection.value} over a {self._positions(given)}",
                hint="import such records into shards of their own",
            )
        counted = found.counts if found.draws is None else found.draws
        self._most = max(self._most, int(counted.max(initial=0)))
        self._writer.add(identity, found)
        return None if vocabulary.ids == "table" else found.input_ids

    def finish(self) -> Kept | None:
        """The shard, None where no record had this signal; the token table that it names, if it is one, is in the store."""
        if self._writer is None or self._codec is None or self._vocabulary is None:
            return None
        vocabulary = self._vocabulary
        if isinstance(vocabulary, TokenTable):
            self._store.put_bytes(vocabulary.data())
        method = TruncationMethod.SAMPLED if self._codec.selection is Selection.DRAWS else TruncationMethod.TOP_K
        codec = replace(
            self._codec,
            tokenizer=vocabulary.digest,
            vocabulary=vocabulary.size,
            truncation=known(Truncation(method=method, parameters={"most": self._most})),
        )
        written = self._writer.finish(codec)
        return None if written is None else Kept(self.signal, written)

    def close(self) -> None:
        """Leave nothing behind of what was not finished."""
        if self._writer is not None:
            self._writer.close()

    def _codec_of(self, given: TokenLogprobs, vocabulary: Vocabulary) -> LogitsCodec:
        keeping = self._meaning.keeping
        # What sampling settings did not change is the distribution at temperature 1.
        temperature: Declared[str] = known("1") if keeping.kind is LogprobKind.RAW else unknown(Reason.NOT_RECORDED_BY_SOURCE)
        return LogitsCodec(
            level=keeping.level or Level.EXACT,
            selection=given.selection,
            vocabulary=vocabulary.size,
            tokenizer=vocabulary.digest,
            ids=vocabulary.ids,
            positions=self._positions(given),
            logprob_kind=keeping.kind,
            temperature=temperature,
            truncation=unknown(Reason.NOT_RECORDED_BY_SOURCE),
        )

    def _positions(self, given: TokenLogprobs) -> str:
        """Whether ids are those of the whole sequence, as they are of what was scored, or of the response alone."""
        return "sequence" if self.signal is Signal.SCORED or len(given.before) else "response"


def _read_tokenizer(keeping: Keeping) -> Tokenizer | None:
    given = keeping.tokenizer
    if given is None or (isinstance(given, str) and given.startswith("sha256:")):
        if given is not None and not _DIGEST.fullmatch(str(given)):
            raise InvalidInput(f"tokenizer: expected a file or sha256: and 64 lower-case hex digits, found {given!r}")
        return None
    return Tokenizer.read(given)


_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
