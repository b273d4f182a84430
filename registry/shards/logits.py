r"""How distributions become the blobs of a logits shard, and come back: codec `inbond-logits`, version 1.

One row is one record with n positions and m = sum(k) entries. Its streams, each a blob of parts (`streams.py`):

    k       counts, as u8 planes, lowest byte first: 1 or 2 parts of n bytes
    ids     token ids of the entries (`token_codes.py`)
    head    log-probability of the first entry of each position that has any, as byte planes of its dtype
    gaps    exact: log-probabilities of the other entries, as byte planes of the dtype
            compact: by how many steps each falls below the one before. First part: second entries, u8. Second part: third and
            later ones in half bytes, the first of two in the lower half. Third part: what half bytes of 15 lack, u8. Fourth
            part: what bytes of 255 in the first part lack, then those in the third, u16le
            drawn entries: their log-probabilities as byte planes, then two byte planes of how often each was drawn
    tail    exact: float32 planes, NaN for not known; compact: u8 c for exp(-c / 16), 254 for none, 255 for not known
    chosen  u8: i + 1 where the position's own token is its entry i, of that log-probability and of rank i + 1; 0 where neither
            log-probability nor rank is known; 255 for others, whose rank (u32 planes) and float32 planes follow
    tokens  only where ids are of a table: the ids of the n positions' own tokens, as four planes of u32

Level *exact* gives back every bit of its dtype (float32, or float16 for log-probabilities that float16 holds). Level *compact*
keeps `head` as float16 of few bits and the others in steps of 1/16 nats below it as it was stored, so that errors do not add up:
no entry is off by more than half a step (1/32 nats), tail mass by no more than 3.2 %. That is checked against what was encoded,
before anything is written. Log-probabilities are in nats, bytes little-endian.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inbond.registry.shards.distributions import Selection
from inbond.registry.shards.ragged import Ragged, edges
from inbond.registry.shards.stream_codes import (
    STEP,
    TAIL_STEPS,
    Cut,
    compact_heads,
    decode_chosen,
    decode_counts,
    decode_planes,
    decode_steps,
    decode_tail,
    encode_chosen,
    encode_counts,
    encode_planes,
    encode_steps,
    encode_tail,
)
from inbond.registry.shards.streams import Parts, from_planes, join, naming, planes
from inbond.registry.shards.token_codes import MAX_VOCABULARY, RankMap, decode_ids, encode_ids
from inbond.schemas.declared import Declared
from inbond.schemas.errors import InvalidInput
from inbond.schemas.statements import Codec, LogprobKind, Truncation

CODEC_ID, CODEC_VERSION = "inbond-logits", "1"
MAX_POSITIONS = 1 << 24
FREE_POSITIONS, POSITIONS_A_BYTE = 1_024, 16
"""A record has at most so many positions, and so many for each byte of its blobs: bytes bound the memory that they can claim."""

BOUND = STEP / 2 + 1e-6
DRAWN_BOUND = 0.032
TAIL_BOUND = math.expm1(0.5 / TAIL_STEPS) + 1e-6


class Level(StrEnum):
    """Whether every bit is kept, or log-probabilities in steps."""

    EXACT = "exact"
    COMPACT = "compact"


class Streams(NamedTuple):
    """The blobs of R records, a list of R for each stream."""

    k: list[bytes]
    ids: list[bytes]
    head: list[bytes]
    gaps: list[bytes]
    tail: list[bytes]
    chosen: list[bytes]
    tokens: list[bytes]


STREAMS = Streams._fields


@dataclass(frozen=True, slots=True)
class LogitsCodec:
    """What a logits shard's numbers mean and how they are written, as its statement says (`Codec`).

    `ids` are observed (of the source), derived (a tokenizer's, for the texts of the source) or of a table (of these texts);
    `tokenizer` is the digest of the tokenizer's file or of the table, `vocabulary` the number of ids. `positions`: input_ids
    are those of the whole sequence, or of the response alone. `rank_map` is the digest of the map that the file carries.
    """

    level: Level
    selection: Selection
    vocabulary: int
    tokenizer: str
    ids: str
    positions: str
    logprob_kind: LogprobKind
    temperature: Declared[str]
    truncation: Declared[Truncation]
    dtype: str = "float32"
    rank_map: str | None = None

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("ids", self.ids, _IDS),
            ("positions", self.positions, _POSITIONS),
            ("dtype", self.dtype, ("float32",) if self.level is Level.COMPACT else _DTYPES),
        ):
            if value not in allowed:
                raise InvalidInput(f"logits codec, {name}: expected {' or '.join(allowed)}, found {value!r}")
        if not 0 <= self.vocabulary <= MAX_VOCABULARY:
            raise InvalidInput(f"logits codec: expected a vocabulary of at most {MAX_VOCABULARY} ids, found {self.vocabulary}")

    def described(self) -> Codec:
        """As the statement has it."""
        parameters: dict[str, bool | int | str] = {
            "level": self.level.value,
            "selection": self.selection.value,
            "ids": self.ids,
            "positions": self.positions,
        }
        if self.level is Level.EXACT:
            parameters["dtype"] = self.dtype
        else:
            parameters |= {"step": "0.0625", "bound": "0.03125", "tail_bound": "0.032"}
        if self.rank_map is not None:
            parameters["rank_map"] = self.rank_map
        return Codec(
            id=CODEC_ID,
            version=CODEC_VERSION,
            parameters=parameters,
            vocabulary=self.vocabulary,
            tokenizer=self.tokenizer,
            logprob_kind=self.logprob_kind,
            temperature=self.temperature,
            truncation=self.truncation,
        )

    @classmethod
    def of(cls, stated: Codec) -> "LogitsCodec":
        """The codec that a statement names. Raises InvalidInput for one that this program does not have."""
        if (stated.id, stated.version) != (CODEC_ID, CODEC_VERSION):
            raise InvalidInput(
                f"logits codec: expected {CODEC_ID} {CODEC_VERSION}, found {stated.id} {stated.version}",
                hint="a newer inbond reads newer codecs",
            )
        given = dict(stated.parameters)
        try:
            codec = cls(
                level=Level(str(given.get("level"))),
                selection=Selection(str(given.get("selection"))),
                vocabulary=int(stated.vocabulary),
                tokenizer=stated.tokenizer,
                ids=str(given.get("ids")),
                positions=str(given.get("positions")),
                logprob_kind=stated.logprob_kind,
                temperature=stated.temperature,
                truncation=stated.truncation,
                dtype=str(given.get("dtype", "float32")),
                rank_map=None if "rank_map" not in given else str(given["rank_map"]),
            )
        except ValueError as error:
            raise InvalidInput(f"logits codec: expected its parameters, found {given}: {error}") from None
        if codec.described().parameters != given:
            raise InvalidInput(f"logits codec: expected parameters {codec.described().parameters}, found {given}")
        return codec

    # -- both ways ---------------------------------------------------------------------------------------------------------

    def encode(self, records: Ragged, tokens: NDArray[np.uint32], ranks: RankMap | None = None) -> Streams:
        """The blobs of `records`, which were checked; `tokens` are the own tokens of all N positions.

        Raises InvalidInput for values that the dtype does not hold, and where a bound is not kept.
        """
        if (records.draws is None) is (self.selection is Selection.DRAWS):
            raise InvalidInput(f"log-probabilities: expected entries chosen by {self.selection.value}, found others")
        if len(records.counts) and int(records.counts.max()) > 0xFFFF:
            raise InvalidInput(f"log-probabilities: expected at most 65535 entries a position, found {int(records.counts.max())}")
        cut = Cut(records)
        compact = self.level is Level.COMPACT
        given = records.logprobs[cut.first]
        heads: NDArray[Any] = compact_heads(given) if compact else self._stored(given, self._kind)
        streams = Streams(
            k=encode_counts(records.counts, cut.positions),
            ids=encode_ids(records.ids, cut.entries, records.positions, ranks),
            head=encode_planes(heads, cut.heads),
            gaps=self._encode_gaps(records, cut, heads),
            tail=encode_tail(records.tail, cut.positions) if compact else encode_planes(records.tail, cut.positions),
            chosen=encode_chosen(records, tokens, cut),
            tokens=encode_planes(tokens, cut.positions) if self.ids == "table" else [b""] * len(records),
        )
        _check_positions(streams, records.positions)
        if compact:
            starts = edges(records.counts)
            logprobs, _ = self._decode_values(streams, records.counts, starts, cut.positions)
            self._check_bound(records, logprobs, self._decode_tail(streams, cut.positions))
        return streams

    def decode(
        self,
        streams: Sequence[Sequence[bytes]],
        positions: NDArray[np.int64],
        first_pos: NDArray[np.int64],
        ranks: RankMap | None = None,
    ) -> tuple[Ragged, NDArray[np.uint32]]:
        """Records, and the own tokens of their positions (uint32 [N] where ids are of a table, else empty).

        `streams` are lists of R blobs in the order of `Streams`, `positions` and `first_pos` int64 [R]. Raises InvalidInput,
        whose `record` says which where that is known, for blobs that no `encode` gives, before more memory is taken than the
        bytes can hold.
        """
        blobs = Streams(*(list(stream) for stream in streams))
        if len(positions) and not 0 <= int(positions.min()) <= int(positions.max()) <= MAX_POSITIONS:
            raise InvalidInput(
                f"n_pos: expected 0 to {MAX_POSITIONS} positions, found {int(positions.min())} to {int(positions.max())}"
            )
        _check_positions(blobs, positions)
        counts = decode_counts(blobs.k, positions)
        at, entry_at = edges(positions), edges(counts)
        entries = entry_at[at]
        ids = decode_ids(blobs.ids, entries, positions, self.vocabulary, ranks)
        logprobs, draws = self._decode_values(blobs, counts, entry_at, at)
        tail = self._decode_tail(blobs, at)
        chosen, rank = decode_chosen(blobs.chosen, positions, counts, entry_at, logprobs)
        tokens = decode_planes(blobs.tokens, at, "<u4", "tokens") if self.ids == "table" else _no_tokens(blobs.tokens)
        return Ragged(positions, first_pos, counts, ids, logprobs, tail, chosen, rank, draws), tokens

    def _decode_values(
        self, blobs: Streams, counts: NDArray[np.uint32], entry_at: NDArray[np.int64], at: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.uint32] | None]:
        """Log-probabilities of all entries, and how often each was drawn."""
        entries = entry_at[at]
        has_any = counts > 0
        first = entry_at[:-1][has_any]
        heads = edges(has_any)[at]
        others = entries - heads
        compact = self.level is Level.COMPACT
        head = decode_planes(blobs.head, heads, "<f2" if compact else self._kind, "head").astype(np.float32, copy=False)
        if compact and self.selection is not Selection.DRAWS:
            return decode_steps(blobs.gaps, entries, head, counts[has_any], first), None
        is_other = np.ones(int(entries[-1]), dtype=bool)
        is_other[first] = False
        logprobs: NDArray[np.float32] = np.empty(len(is_other), dtype=np.float32)
        logprobs[first] = head
        if self.selection is Selection.DRAWS:
            logprobs[is_other], draws = self._decode_draws(blobs.gaps, others, entries)
            return logprobs, draws
        logprobs[is_other] = decode_planes(blobs.gaps, others, self._kind, "gaps")
        return logprobs, None

    def _decode_tail(self, blobs: Streams, at: NDArray[np.int64]) -> NDArray[np.float32]:
        return decode_tail(blobs.tail, at) if self.level is Level.COMPACT else decode_planes(blobs.tail, at, "<f4", "tail")

    @property
    def _kind(self) -> str:
        return "<f2" if self.dtype == "float16" else "<f4"

    def _stored(self, values: NDArray[np.float32], kind: str) -> NDArray[Any]:
        """`values` in their stored dtype; of level exact, none may be changed by it."""
        with np.errstate(over="ignore"):
            stored = values.astype(kind)
        if self.level is Level.EXACT and kind == "<f2" and (stored.astype(np.float32) != values).any():
            wrong = values[int(np.argmax(stored.astype(np.float32) != values))]
            raise InvalidInput(
                f"log-probabilities: expected values that float16 holds, found {wrong:.7g}", hint="keep them as float32"
            )
        return stored

    def _encode_gaps(self, records: Ragged, cut: Cut, heads: NDArray[Any]) -> list[bytes]:
        if self.level is Level.COMPACT and records.draws is None:
            return encode_steps(records, cut, heads.astype(np.float32))
        rest = records.logprobs[cut.is_other()]
        if records.draws is not None:
            if int(records.draws.max(initial=0)) > 0xFFFF:
                raise InvalidInput(f"draws: expected at most 65535 of one id, found {int(records.draws.max())}")
            values = planes(self._stored(rest, self._kind if self.level is Level.EXACT else "<f2"))
            counted = planes(records.draws.astype("<u2"))
            return [
                join([*(bytes(plane[a:b]) for plane in values), *(bytes(plane[c:d]) for plane in counted)])
                for a, b, c, d in zip(cut.others[:-1], cut.others[1:], cut.entries[:-1], cut.entries[1:], strict=True)
            ]
        return encode_planes(self._stored(rest, self._kind), cut.others)

    def _decode_draws(
        self, blobs: list[bytes], others: NDArray[np.int64], entries: NDArray[np.int64]
    ) -> tuple[NDArray[Any], NDArray[np.uint32]]:
        kind = self._kind if self.level is Level.EXACT else "<f2"
        width = np.dtype(kind).itemsize
        found: list[list[bytes]] = [[] for _ in range(width + 2)]
        with naming("gaps") as at:
            lengths = zip(blobs, np.diff(others).tolist(), np.diff(entries).tolist(), strict=True)
            for at.record, (blob, few, many) in enumerate(lengths):
                parts = Parts(blob, width + 2)
                for number in range(width + 2):
                    found[number].append(parts.take(number, few if number < width else many))
        joined = [b"".join(plane) for plane in found]
        return from_planes(joined[:width], kind), from_planes(joined[width:], "<u2").astype(np.uint32)

    def _check_bound(self, given: Ragged, logprobs: NDArray[np.float32], tail: NDArray[np.float32]) -> None:
        bound = BOUND if given.draws is None else DRAWN_BOUND  # drawn entries are float16, which is that fine down to -64
        off = np.subtract(given.logprobs, logprobs)
        np.abs(off, out=off)
        if float(off.max(initial=0)) > bound and (off + given.logprobs * np.float32(2e-7)).max() > bound:  # float32 rounds too
            at = int(np.argmax(off + given.logprobs * np.float32(2e-7)))
            raise InvalidInput(
                f"log-probabilities: expected entries that level compact keeps to {bound:.5f} nats, found "
                f"{given.logprobs[at]:.7g}, which comes back as {logprobs[at]:.7g}",
                hint="keep them exactly: --logits exact",
            )
        wrong = np.abs(tail - given.tail) > TAIL_BOUND * given.tail + 2e-7
        if wrong.any():
            at = int(np.argmax(wrong))
            raise InvalidInput(
                f"tail mass: expected one that level compact keeps to 3.2 %, found {given.tail[at]:.7g}, which comes back "
                f"as {tail[at]:.7g}"
            )


def _check_positions(blobs: Streams, positions: NDArray[np.int64]) -> None:
    for record, (n, *found) in enumerate(zip(positions.tolist(), *blobs, strict=True)):
        most = FREE_POSITIONS + POSITIONS_A_BYTE * sum(map(len, found))
        if n > most:
            raise InvalidInput(
                f"n_pos: expected at most {most} positions in {sum(map(len, found))} bytes of blobs, found {n}",
                hint="positions of which nothing is said need not be kept: begin behind them",
                record=record,
            )


def _no_tokens(blobs: list[bytes]) -> NDArray[np.uint32]:
    for record, blob in enumerate(blobs):
        if blob:
            raise InvalidInput(
                f"stream tokens: expected no bytes, since ids are not of a table, found {len(blob)}", record=record
            )
    return np.empty(0, dtype=np.uint32)


_IDS = ("observed", "derived", "table")
_POSITIONS = ("sequence", "response")
_DTYPES = ("float32", "float16")
