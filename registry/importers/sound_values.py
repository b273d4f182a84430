"""What can be wrong with the log-probabilities of a source whatever its vocabulary, found where the record stands.

The same is checked again when they are written. There no file and line is known, and nothing can be left out any more.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inbond.registry.importers.fields import Fault
from inbond.registry.importers.observed import Observed, TokenLogprobs
from inbond.registry.shards.distributions import MASS_TOLERANCE, ROUNDING

_EXPECTED = "a log-probability of at most 0 (or none: null, -9999)"


def check_values(found: Observed) -> None:
    """Raise Fault for a log-probability above zero or NaN, and for entries of one position that weigh more than one."""
    for name, said in (("generated", found.generated), ("scored", found.scored)):
        if said is not None and len(said.tokens):
            _check(said, f"{name} log-probabilities")


def _check(said: TokenLogprobs, field: str) -> None:
    chosen: NDArray[np.float64] = np.array(said.chosen, dtype=np.float64)  # None becomes NaN: not known
    if (chosen > ROUNDING).any():
        at = int(np.argmax(chosen > ROUNDING))
        raise Fault("wrong-value", f"{field}, position {at}", _EXPECTED, f"{chosen[at]:g}")
    values: NDArray[np.float64] = np.asarray(said.logprobs, dtype=np.float64)
    counts: NDArray[Any] = np.asarray(said.counts, dtype=np.int64)
    if not len(values) or len(values) != counts.sum():  # which is found when they are put in order
        return
    if not (values <= ROUNDING).all():
        at = int(np.argmin(values <= ROUNDING))
        position = int(np.searchsorted(np.cumsum(counts), at, side="right"))
        raise Fault("wrong-value", f"{field}, position {position}", _EXPECTED, f"{values[at]:g}")
    positions = np.repeat(np.arange(len(counts)), counts)
    mass = np.bincount(positions, weights=np.exp(values))
    for position in np.flatnonzero(mass > 1 + MASS_TOLERANCE).tolist():
        end = int(counts[: position + 1].sum())
        entries = range(end - int(counts[position]), end)
        weight = float(np.exp(list({said.alternatives[at]: values[at] for at in entries}.values())).sum())  # one id twice is one
        if weight > 1 + MASS_TOLERANCE:
            raise Fault("wrong-value", f"{field}, position {position}", "entries of mass at most 1", f"{weight:.6g}")
