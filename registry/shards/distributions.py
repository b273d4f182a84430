"""What a teacher said about the tokens of one record: a distribution for each position, some of its entries kept.

Arrays are C-contiguous numpy arrays in the machine's byte order; log-probabilities are natural logarithms (nats). The entries
of all positions lie end to end; `counts` says how many are whose. There are no sentinels: a position without entries has
count 0, and what is not known is NaN (a float) or 0 (a rank).
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inbond.schemas.errors import InvalidInput

ROUNDING = 1e-5
"""A softmax in single precision may end this far above zero; a greater log-probability is no rounding."""

MASS_TOLERANCE = 0.01
"""How far above one the entries of a position may sum: log-probabilities of float16 or bfloat16 engines round by that much."""


class Selection(StrEnum):
    """How the kept entries were chosen: the k most likely, the fewest of a given mass, or by drawing with replacement."""

    TOPK = "topk"
    NUCLEUS = "nucleus"
    DRAWS = "draws"


@dataclass(frozen=True, slots=True, eq=False)
class Distributions:
    """The distributions of n successive positions of one record; m = sum(counts) entries in all.

    * `input_ids`: uint32 [L], the token ids of the whole sequence, or of the response alone (the codec says which).
    * `first_pos`: row t is P(input_ids[first_pos + t] | everything before it); 0 <= first_pos, first_pos + n <= L.
    * `counts`: uint16 or uint32 [n], entries of each position; 0 is no signal.
    * `ids`: uint32 [m], token ids, distinct within a position, in falling log-probability (draws: in falling count).
    * `logprobs`: float32 [m], nats, at most 0.
    * `tail`: float32 [n], probability mass outside the entries, 0 to 1; NaN: not known.
    * `chosen`: float32 [n], log-probability of input_ids[first_pos + t], nats; NaN: the source does not say.
    * `rank`: uint32 [n], 1-based rank of that token among all; 0: not known.
    * `draws`: uint32 [m], how often each id was drawn; only where entries were drawn.
    """

    input_ids: NDArray[np.uint32]
    first_pos: int
    counts: NDArray[np.uint16] | NDArray[np.uint32]
    ids: NDArray[np.uint32]
    logprobs: NDArray[np.float32]
    tail: NDArray[np.float32]
    chosen: NDArray[np.float32]
    rank: NDArray[np.uint32]
    draws: NDArray[np.uint32] | None = None

    @property
    def n(self) -> int:
        """How many positions."""
        return len(self.counts)

    def check(self, vocabulary: int) -> None:
        """Raise InvalidInput, naming field and position, unless this keeps what the class says, with ids below `vocabulary`."""
        self._check_forms()
        if self.n == 0:
            raise InvalidInput("distributions: expected at least one position, found none", hint="Leave them out altogether.")
        if not 0 <= self.first_pos <= len(self.input_ids) - self.n:
            raise InvalidInput(
                f"distributions: expected {self.n} positions from {self.first_pos} on within {len(self.input_ids)} tokens, "
                "found more positions than tokens"
            )
        for name, tokens in (("input_ids", self.input_ids), ("ids", self.ids)):
            if len(tokens) and int(tokens.max()) >= vocabulary:
                raise InvalidInput(
                    f"distributions, field {name}: expected token ids below {vocabulary}, found {int(tokens.max())}",
                    hint="The vocabulary is that of the model, which may be larger than its tokenizer's.",
                )
        self._check_values()

    def _check_forms(self) -> None:
        entries = int(self.counts.sum(dtype=np.int64))
        forms: tuple[tuple[str, NDArray[Any], tuple[str, ...], int], ...] = (
            ("input_ids", self.input_ids, ("uint32",), len(self.input_ids)),
            ("counts", self.counts, ("uint16", "uint32"), self.n),
            ("ids", self.ids, ("uint32",), entries),
            ("logprobs", self.logprobs, ("float32",), entries),
            ("tail", self.tail, ("float32",), self.n),
            ("chosen", self.chosen, ("float32",), self.n),
            ("rank", self.rank, ("uint32",), self.n),
        )
        if self.draws is not None:
            forms += (("draws", self.draws, ("uint32",), entries),)
        for name, array, types, length in forms:
            if array.dtype.name not in types or array.shape != (length,):
                raise InvalidInput(
                    f"distributions, field {name}: expected {length} values of {' or '.join(types)}, found shape {array.shape} "
                    f"of {array.dtype}"
                )

    def _check_values(self) -> None:
        for name, values in (("logprobs", self.logprobs), ("chosen", self.chosen)):
            sound = (values <= 0) & (values > -np.inf)
            if name == "chosen":
                sound |= np.isnan(values)
            if not sound.all():
                at = int(np.argmin(sound))
                raise InvalidInput(
                    f"distributions, field {name}, {self._place(name, at)}: expected a log-probability of at most 0, "
                    f"found {values[at]}",
                    hint="What a source writes for a log-probability that it does not have (-inf, -9999) is left out.",
                )
        sound = np.isnan(self.tail) | ((self.tail >= 0) & (self.tail <= 1))
        if not sound.all():
            at = int(np.argmin(sound))
            raise InvalidInput(f"distributions, field tail, position {at}: expected a mass from 0 to 1, found {self.tail[at]}")
        if len(self.ids) == 0:
            return
        starts = _starts(self.counts)
        first = np.zeros(len(self.ids), dtype=bool)
        first[starts[self.counts > 0]] = True
        order = "logprobs" if self.draws is None else "draws"
        falling: NDArray[Any] = self.logprobs if self.draws is None else self.draws
        rising = np.flatnonzero((falling[1:] > falling[:-1]) & ~first[1:])
        if len(rising):
            at = int(rising[0]) + 1
            raise InvalidInput(
                f"distributions, field {order}, {self._place(order, at)}: expected falling values, found {falling[at]} "
                f"after {falling[at - 1]}"
            )
        if self.draws is not None and int(self.draws.min()) == 0:
            at = int(np.argmin(self.draws))
            raise InvalidInput(f"distributions, field draws, {self._place('draws', at)}: expected a count of at least 1, found 0")
        if (twice := self._twice()) is not None:
            raise InvalidInput(f"distributions, field ids: expected distinct ids within a position, found {twice} twice")
        mass = np.add.reduceat(np.exp(self.logprobs), starts[self.counts > 0])
        if mass.max() > 1 + MASS_TOLERANCE:
            at = int(np.flatnonzero(self.counts)[np.argmax(mass)])
            raise InvalidInput(f"distributions, position {at}: expected entries of mass at most 1, found {mass.max():.6g}")

    def _twice(self) -> int | None:
        """An id that a position has more than once."""
        bits = int(self.ids.max()).bit_length()
        kind = np.uint32 if self.n.bit_length() + bits <= 32 else np.uint64  # the narrower are sorted in half the time
        owners: NDArray[Any] = np.arange(self.n).astype(kind)
        keys = np.repeat(owners << kind(bits), self.counts)
        keys |= self.ids
        keys.sort()
        same = np.flatnonzero(keys[1:] == keys[:-1])
        return int(keys[same[0]]) & ((1 << bits) - 1) if len(same) else None

    def _place(self, name: str, at: int) -> str:
        if name == "chosen":
            return f"position {at}"
        position = int(np.searchsorted(np.cumsum(self.counts, dtype=np.int64), at, side="right"))
        return f"position {position}, entry {at - int(_starts(self.counts)[position])}"


def from_dense(
    logprobs: NDArray[np.floating[Any]],
    input_ids: NDArray[np.uint32],
    first_pos: int,
    *,
    selection: Selection = Selection.TOPK,
    k: int | None = None,
    p: float | None = None,
    least: int = 1,
    cap: int | None = None,
) -> Distributions:
    """Keep entries of whole distributions: `logprobs` is float [n, V], nats, -inf where a token is impossible.

    TOPK keeps the `k` most likely; NUCLEUS the fewest whose mass is at least `p`, at least `least` and at most `cap` of them.
    `chosen` and `rank` (1 + how many are more likely) are those of input_ids[first_pos + t], `tail` what the others weigh.
    Raises InvalidInput for settings that do not fit the selection and for tokens that the distributions do not have.
    """
    if selection is Selection.TOPK and k is not None and k > 0 and p is None:
        most = k
    elif selection is Selection.NUCLEUS and p is not None and 0 < p <= 1 and k is None:
        most = logprobs.shape[-1] if cap is None else cap
    else:
        raise InvalidInput(f"distributions: expected k for topk or p for nucleus, found selection {selection}, k {k}, p {p}")
    n, vocabulary = logprobs.shape
    tokens = input_ids[first_pos : first_pos + n].astype(np.int64)
    if first_pos < 0 or len(tokens) != n or (n and int(tokens.max()) >= vocabulary):
        raise InvalidInput(
            f"distributions: expected {n} tokens below {vocabulary} from {first_pos} on, found {len(tokens)} of {len(input_ids)}"
        )
    most = min(most, vocabulary)
    values = logprobs.astype(np.float32, copy=False)
    best = np.argpartition(-values, most - 1, axis=1)[:, :most] if most < vocabulary else np.tile(np.arange(most), (n, 1))
    kept = np.take_along_axis(values, best, axis=1)
    order = np.lexsort((best, -kept), axis=1)
    best, kept = np.take_along_axis(best, order, axis=1), np.take_along_axis(kept, order, axis=1)
    possible = kept > -np.inf
    chosen = np.take_along_axis(values, tokens[:, None], axis=1)
    found = Distributions(
        input_ids=np.ascontiguousarray(input_ids, dtype=np.uint32),
        first_pos=first_pos,
        counts=possible.sum(axis=1, dtype=np.uint32),
        ids=best[possible].astype(np.uint32),
        logprobs=_rounded(kept[possible]),
        tail=np.clip(1.0 - np.exp(kept.astype(np.float64)).sum(axis=1), 0.0, 1.0).astype(np.float32),
        chosen=_rounded(np.where(chosen == -np.inf, np.float32(np.nan), chosen)[:, 0]),
        rank=1 + (values > chosen).sum(axis=1, dtype=np.uint32),
    )
    return found if p is None else truncated(found, p=p, least=least, cap=cap)


def truncated(found: Distributions, *, p: float, least: int = 1, cap: int | None = None) -> Distributions:
    """The nucleus of each position: the fewest entries whose mass is at least `p`, at least `least` and at most `cap`.

    What is cut goes to `tail`. Raises InvalidInput for drawn entries, whose counts are no order of probability.
    """
    if found.draws is not None:
        raise InvalidInput("distributions: expected entries in falling probability to cut, found drawn ones")
    mass = np.exp(found.logprobs, dtype=np.float64)
    ends = np.cumsum(found.counts, dtype=np.int64)
    starts = ends - found.counts
    total = np.concatenate([[0.0], np.cumsum(mass)])
    before = total[:-1] - np.repeat(total[starts], found.counts)
    place = np.arange(len(mass)) - np.repeat(starts, found.counts)
    # Sums are over the record, so those of a position are exact to about 1e-12 only.
    kept = (place < least) | (before < p - 1e-9)
    if cap is not None:
        kept &= place < cap
    owners = np.repeat(np.arange(found.n), found.counts)
    cut = np.bincount(owners[~kept], weights=mass[~kept], minlength=found.n)
    return replace(
        found,
        counts=np.bincount(owners[kept], minlength=found.n).astype(np.uint32),
        ids=found.ids[kept],
        logprobs=found.logprobs[kept],
        tail=np.clip(found.tail + cut, 0.0, 1.0).astype(np.float32),
    )


def _rounded(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where((values > 0) & (values <= ROUNDING), np.float32(0), values)


def _starts(counts: NDArray[Any]) -> NDArray[np.int64]:
    ends: NDArray[np.int64] = np.cumsum(counts, dtype=np.int64)
    return ends - counts.astype(np.int64)
