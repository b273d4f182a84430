"""Distributions drawn at random, as hypothesis strategies and in bulk."""

import numpy as np
from hypothesis import strategies as st

from inbond.registry.shards.distributions import Distributions, Selection
from inbond.registry.shards.logits import Level, LogitsCodec
from inbond.schemas.declared import unknown
from inbond.schemas.statements import LogprobKind

TOKENIZER = "sha256:" + "7" * 64


def codec(
    level: Level = Level.EXACT, selection: Selection = Selection.TOPK, vocabulary: int = 1000, **changes: object
) -> LogitsCodec:
    fields: dict[str, object] = {
        "level": level,
        "selection": selection,
        "vocabulary": vocabulary,
        "tokenizer": TOKENIZER,
        "ids": "observed",
        "positions": "sequence",
        "logprob_kind": LogprobKind.RAW,
        "temperature": unknown(),
        "truncation": unknown(),
    }
    return LogitsCodec(**(fields | changes))  # type: ignore[arg-type]


def drawn(seed: int, *, vocabulary: int = 1000, selection: Selection = Selection.TOPK, dtype: str = "float32") -> Distributions:
    """One record; what is odd (no entries, own token outside them, unknown mass, 300 entries) is among it."""
    chance = np.random.default_rng(seed)
    n, before, after = int(chance.integers(1, 9)), int(chance.integers(0, 4)), int(chance.integers(0, 3))
    tokens = chance.integers(0, vocabulary, n + before + after).astype(np.uint32)
    counts, ids, logprobs, draws = [], [], [], []
    tail = np.empty(n, dtype=np.float32)
    chosen, rank = np.full(n, np.nan, dtype=np.float32), np.zeros(n, dtype=np.uint32)
    for position in range(n):
        k = int(chance.choice([0, 1, 2, 5, 20, min(300, vocabulary)]))
        scores = chance.normal(0, float(chance.choice([0.1, 3, 30])), k + 1)
        values = np.sort(scores - np.logaddexp.reduce(scores))[::-1][:k].astype(dtype).astype(np.float32).clip(-1e4, 0)
        mine = chance.choice(vocabulary, k, replace=False).astype(np.uint32)
        counted = np.sort(chance.integers(1, 400, k))[::-1].astype(np.uint32)
        if selection is Selection.DRAWS:
            values = chance.permutation(values)
        counts.append(k)
        ids.append(mine)
        logprobs.append(values)
        draws.append(counted)
        tail[position] = chance.choice([np.nan, 0, 1, max(0.0, 1 - float(np.exp(values.astype(np.float64)).sum()))])
        match chance.integers(4):
            case 0 if k:
                at = int(chance.integers(k))
                tokens[before + position], chosen[position], rank[position] = mine[at], values[at], at + 1
            case 1:
                chosen[position], rank[position] = -float(chance.exponential()), int(chance.integers(0, 100_000))
            case 2:
                rank[position] = int(chance.integers(1, 400))
    return Distributions(
        input_ids=tokens,
        first_pos=before,
        counts=np.array(counts, dtype=np.uint32),
        ids=np.concatenate([np.empty(0, np.uint32), *ids]),
        logprobs=np.concatenate([np.empty(0, np.float32), *logprobs]),
        tail=tail,
        chosen=chosen.astype(dtype).astype(np.float32) if dtype == "float16" else chosen,
        rank=rank,
        draws=np.concatenate([np.empty(0, np.uint32), *draws]) if selection is Selection.DRAWS else None,
    )


seeds = st.integers(0, 2**32 - 1)
records = st.lists(st.none() | seeds, min_size=1, max_size=6)
