"""What a source said about the tokens of one record, as it said it: before any vocabulary, and without sentinels.

Lists are flat: the entries of position t are the next `counts[t]` of `alternatives` and `logprobs`. A token is an id where
the source gives ids, else the bytes of its text. Log-probabilities are in nats.
"""

from collections.abc import Sequence
from itertools import compress
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from inbond.registry.importers.texts import Texts
from inbond.registry.shards.distributions import Selection
from inbond.registry.shards.records import Record

ABSENT = -9999.0
"""Sources write this, something below it, -inf or null where a token has no log-probability."""


Floats = NDArray[np.floating[Any]]
Counts = NDArray[np.integer[Any]]


class TokenLogprobs(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of n successive positions with what a model said at each of them.

    `chosen` is the log-probability of each token and `ranks` its 1-based rank among all tokens (None, 0: the source does not
    say). `counts` are the entries of each position, 0 where it has none; `draws` says for Selection.DRAWS how often each entry
    was drawn. `before` and `after` are the tokens around these positions, where the source gives the whole sequence.
    Numbers may come as numpy arrays.
    """

    tokens: Sequence[int] | Sequence[bytes]
    chosen: Sequence[float | None]
    counts: Sequence[int]
    alternatives: Sequence[int] | Sequence[bytes]
    logprobs: Sequence[float]
    ranks: Sequence[int] | None = None
    draws: Sequence[int] | None = None
    before: Sequence[int] | Sequence[bytes] = ()
    after: Sequence[int] | Sequence[bytes] = ()
    selection: Selection = Selection.TOPK

    @property
    def has_ids(self) -> bool:
        """Whether tokens are ids of the source (True) or bytes that a tokenizer or table must turn into ids."""
        return len(self.tokens) == 0 or not isinstance(self.tokens[0], bytes)


class Observed(msgspec.Struct, frozen=True):
    """A record with the log-probabilities that came with it.

    `generated` belongs to what the teacher wrote, `scored` to text that it was given (a prompt, another model's answer). `ids`
    are the record's `content_ids` where somebody has computed them already.
    """

    record: Record
    generated: TokenLogprobs | None = None
    scored: TokenLogprobs | None = None
    ids: tuple[bytes, bytes | None] | None = None


def token_logprobs(
    tokens: Sequence[int] | Sequence[bytes],
    chosen: Sequence[float | None] | Floats,
    counts: Sequence[int] | Counts,
    alternatives: Sequence[int] | Sequence[bytes],
    logprobs: Sequence[float] | Floats,
    *,
    ranks: Sequence[int] | None = None,
    before: Sequence[int] | Sequence[bytes] = (),
    after: Sequence[int] | Sequence[bytes] = (),
) -> TokenLogprobs:
    """Top-k log-probabilities with every sentinel left out: such an entry is no entry, such a chosen token not known."""
    of_tokens, of_entries = np.array(chosen, dtype=np.float64), np.asarray(logprobs, dtype=np.float64)
    of_tokens[of_tokens <= ABSENT] = np.nan
    there = ~(of_entries <= ABSENT)  # NaN is no sentinel but a fault, which is found later
    if not there.all():
        positions = np.repeat(np.arange(len(counts)), counts)[there]
        counts = np.bincount(positions, minlength=len(counts))
        if isinstance(alternatives, Texts):
            alternatives = Texts(alternatives.codes[there], alternatives.table)
        else:
            alternatives = list(compress(alternatives, there.tolist()))  # type: ignore[assignment]
        of_entries = of_entries[there]
    numbers: tuple[Any, Any, Any] = (of_tokens, counts, of_entries)
    if not isinstance(chosen, np.ndarray):  # arrays of a long text stay arrays
        chosen = [None if value != value else value for value in of_tokens.tolist()]
        numbers = (chosen, np.asarray(counts).tolist(), of_entries.tolist())
    return TokenLogprobs(
        tokens=tokens,
        chosen=numbers[0],
        counts=numbers[1],
        alternatives=alternatives,
        logprobs=numbers[2],
        ranks=ranks,
        before=before,
        after=after,
    )


def with_logprobs(record: Record, generated: TokenLogprobs | None, scored: TokenLogprobs | None = None) -> Record | Observed:
    """The record alone where nothing came with it."""
    return record if generated is None and scored is None else Observed(record, generated, scored)


def joined(parts: Sequence[TokenLogprobs]) -> TokenLogprobs | None:
    """Successive parts of one text as one; None for none."""
    if len(parts) < 2:
        return parts[0] if parts else None
    every: dict[str, Any] = {
        name: [value for part in parts for value in getattr(part, name)]
        for name in ("tokens", "chosen", "counts", "alternatives", "logprobs")
    }
    return TokenLogprobs(**every)
