"""Teachers for the benches: one of made-up statistics, and a small transformer trained on the demonstration's text.

The synthetic one follows an order-statistics model of language models: gaps between neighbouring log-probabilities fall as
1 / rank, three positions in five are decided (one token far ahead), token ids follow Zipf's law (exponent 0.95, 128,000 ids in
no order). With the nucleus of 0.99, 4 to 64 entries, about 20 are kept and 1.8 % of the mass is not; the first token has a
probability of 0.86 on average.
"""

import numpy as np
from numpy.typing import NDArray

from inbond.registry.shards.distributions import Distributions, truncated

VOCABULARY = 128_000
TOKENIZER = "sha256:" + "0" * 64

_ENTRIES = 256
_MOST = 64
_SLOPES = (1.25, 2.5)


def synthetic(records: int, length: int, seed: int = 1) -> list[Distributions]:
    """`records` of `length` positions, each the nucleus of its distribution."""
    chance = np.random.default_rng(seed)
    weights = np.arange(1, VOCABULARY + 1) ** -0.95
    ids_of_rank = np.random.default_rng(0).permutation(VOCABULARY).astype(np.uint32)
    cumulative = np.cumsum(weights) / weights.sum()
    return [_record(chance, length, cumulative, ids_of_rank) for _ in range(records)]


def nucleus(found: Distributions) -> Distributions:
    """What is kept in all comparisons: mass 0.99, at least 4 entries and at most 64."""
    return truncated(found, p=0.99, least=4, cap=_MOST)


def _record(
    chance: np.random.Generator, n: int, cumulative: NDArray[np.float64], ids_of_rank: NDArray[np.uint32]
) -> Distributions:
    slope = chance.uniform(*_SLOPES, n)
    gaps = chance.exponential(1, (n, _ENTRIES - 1)) * slope[:, None] / np.arange(1, _ENTRIES)
    decided = chance.random(n) < 0.6
    gaps[:, 0] += np.where(decided, chance.uniform(3.2, 6.6, n), 0.6 * chance.exponential(1, n))
    logprobs = np.concatenate([np.zeros((n, 1)), -np.cumsum(gaps, axis=1)], axis=1)
    # What lies behind the last entry goes on as rank to the power of -slope, down to the last id.
    beyond = _ENTRIES * ((VOCABULARY / _ENTRIES) ** (1 - slope) - 1) / (1 - slope)
    total = np.exp(logprobs).sum(axis=1) + np.exp(logprobs[:, -1]) * beyond
    logprobs -= np.log(total)[:, None]
    mass = np.exp(logprobs)
    ids = _distinct(chance, n, cumulative, ids_of_rank)
    drawn = np.minimum((np.cumsum(mass, axis=1) < chance.random((n, 1))).sum(axis=1), _ENTRIES - 1)
    rows = np.arange(n)
    return nucleus(
        Distributions(
            input_ids=ids[rows, np.minimum(drawn, _MOST)],
            first_pos=0,
            counts=np.full(n, _MOST, dtype=np.uint32),
            ids=np.ascontiguousarray(ids[:, :_MOST]).reshape(-1),
            logprobs=logprobs[:, :_MOST].astype(np.float32).reshape(-1),
            tail=np.clip(1 - mass[:, :_MOST].sum(axis=1), 0, 1).astype(np.float32),
            chosen=logprobs[rows, drawn].astype(np.float32),
            rank=(drawn + 1).astype(np.uint32),
        )
    )


def _distinct(
    chance: np.random.Generator, n: int, cumulative: NDArray[np.float64], ids_of_rank: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """uint32 [n, 65] ids by Zipf's law, the last for a token outside; of those that a position has already, others are drawn."""
    ids = ids_of_rank[np.searchsorted(cumulative, chance.random((n, _MOST + 1)))]
    while True:
        order = np.argsort(ids, axis=1, kind="stable")
        ordered = np.take_along_axis(ids, order, axis=1)
        again = np.zeros(ids.shape, dtype=bool)
        np.put_along_axis(again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
        if not again.any():
            return ids
        ids[again] = ids_of_rank[np.searchsorted(cumulative, chance.random(int(again.sum())))]


def trained(records: int, length: int) -> tuple[list[Distributions], int] | None:
    """The nuclei of a small transformer on words of the demonstration's text, and its vocabulary; None without torch."""
    try:
        import torch
    except ImportError:
        return None
    from pathlib import Path

    import inbond.api.demo
    from inbond.registry.shards.distributions import from_dense

    torch.manual_seed(1)
    torch.set_num_threads(1)
    text = (Path(inbond.api.demo.__file__).parent / "corpus.txt").read_text(encoding="utf-8")
    tokens, vocabulary = _pieces(text)
    data = torch.from_numpy(tokens.astype(np.int64))
    width, context = 96, 64
    embed, places = torch.nn.Embedding(vocabulary, width), torch.nn.Embedding(context, width)
    layer = torch.nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
    body = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    head = torch.nn.Linear(width, vocabulary)
    modules = torch.nn.ModuleList([embed, places, body, head])
    optimizer = torch.optim.AdamW(modules.parameters(), lr=2e-3)
    mask = torch.nn.Transformer.generate_square_subsequent_mask(context)

    def scores(batch: "torch.Tensor") -> "torch.Tensor":
        found = embed(batch) + places(torch.arange(batch.shape[1]))
        out: torch.Tensor = head(body(found, mask=mask[: batch.shape[1], : batch.shape[1]], is_causal=True))
        return out

    for _ in range(300):
        starts = torch.randint(0, len(data) - context - 1, (16,)).tolist()
        batch = torch.stack([data[at : at + context + 1] for at in starts])
        loss = torch.nn.functional.cross_entropy(scores(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = []
    with torch.no_grad():
        for record in range(records):
            parts = [data[(at := (record * length + part * context) % (len(data) - context - 1)) : at + context + 1]
                     for part in range(length // context)]  # fmt: skip
            batch = torch.stack(parts)
            logprobs = torch.log_softmax(scores(batch[:, :-1]), dim=-1).flatten(0, 1).numpy()
            ids = batch[:, 1:].flatten().numpy().astype(np.uint32)
            found.append(nucleus(from_dense(logprobs, ids, 0, k=min(256, vocabulary))))
    return found, vocabulary


def _pieces(text: str) -> tuple[NDArray[np.uint32], int]:
    """Ids of words, spaces and marks, of which the first to appear has the lowest."""
    import re

    table: dict[str, int] = {}
    ids = [table.setdefault(piece, len(table)) for piece in re.findall(r"\w+|\s+|[^\w\s]", text)]
    return np.array(ids, dtype=np.uint32), len(table)
