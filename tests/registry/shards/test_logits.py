from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.registry.shards.distributions import Distributions, Selection, from_dense, truncated
from inbond.registry.shards.logits import STREAMS, Level, LogitsCodec, Streams
from inbond.registry.shards.ragged import Ragged, ragged
from inbond.registry.shards.token_codes import RankMap
from inbond.schemas.errors import InvalidInput
from tests.registry.shards.distributions import codec, drawn, records


def own(found: list[Distributions | None]) -> Any:
    there = [each.input_ids[each.first_pos : each.first_pos + each.n] for each in found if each]
    return np.concatenate([np.empty(0, np.uint32), *there])


def made(seeds: list[int | None], **how: Any) -> list[Distributions | None]:
    return [None if seed is None else drawn(seed, **how) for seed in seeds]


def there_and_back(
    codec: LogitsCodec, found: list[Distributions | None], ranks: RankMap | None = None
) -> tuple[Ragged, Ragged, Any]:
    given = ragged(found, draws=codec.selection is Selection.DRAWS)
    streams = codec.encode(given, own(found), ranks)
    back, tokens = codec.decode(streams, given.positions, given.first_pos, ranks)
    return given, back, tokens


def same(given: Ragged, back: Ragged, *names: str) -> None:
    for name in names:
        assert np.array_equal(getattr(given, name), getattr(back, name), equal_nan=name in ("tail", "chosen")), name
        assert getattr(given, name).dtype == getattr(back, name).dtype, name


EVERY = ("positions", "first_pos", "counts", "ids", "logprobs", "tail", "chosen", "rank")


@given(records, st.booleans())
def test_exact_gives_back_every_bit(seeds: list[int | None], mapped: bool) -> None:
    found = made(seeds)
    ranks = RankMap.trained(ragged(found).ids, 1000) if mapped else None
    given, back, tokens = there_and_back(codec(), found, ranks)
    same(given, back, *EVERY)
    assert len(tokens) == 0


@given(records)
def test_exact_half_precision_gives_back_every_bit(seeds: list[int | None]) -> None:
    same(*there_and_back(codec(dtype="float16"), made(seeds, dtype="float16"))[:2], *EVERY)


@given(records, st.sampled_from(Level))
def test_draws_come_back_with_their_counts(seeds: list[int | None], level: Level) -> None:
    how = codec(level, Selection.DRAWS)
    found = [
        None if each is None else replace(each, logprobs=each.logprobs.clip(-60, 0))
        for each in made(seeds, selection=Selection.DRAWS)
    ]
    given, back, _ = there_and_back(how, [None if each is None else replace(each, chosen=each.chosen * np.nan) for each in found])
    same(given, back, "counts", "ids", "draws", "rank", *(["logprobs", "tail"] if level is Level.EXACT else []))
    assert np.abs(given.logprobs - back.logprobs).max(initial=0) <= 0.032


@given(records)
def test_compact_keeps_its_bound(seeds: list[int | None]) -> None:
    found = [None if each is None else replace(each, logprobs=each.logprobs.clip(-1000, 0)) for each in made(seeds)]
    heads = [each.logprobs[(np.cumsum(each.counts) - each.counts)[each.counts > 0].astype(int)] for each in found if each]
    if np.concatenate([np.zeros(1), *heads]).min() < -40:  # float16 is not that fine there: refused, see below
        return
    given, back, _ = there_and_back(codec(Level.COMPACT), found)
    same(given, back, "counts", "ids", "rank")
    assert (np.abs(given.logprobs - back.logprobs) <= 0.031251 - given.logprobs * 3e-7).all()
    known = ~np.isnan(given.tail)
    assert np.array_equal(known, ~np.isnan(back.tail))
    assert (np.abs(given.tail - back.tail)[known] <= 0.032 * given.tail[known] + 2e-7).all()


def test_compact_refuses_what_it_does_not_keep() -> None:
    found = drawn(3)
    far = replace(
        found,
        counts=np.ones(found.n, np.uint32),
        ids=np.zeros(found.n, np.uint32),
        logprobs=np.full(found.n, -140.06, np.float32),
    )
    with pytest.raises(InvalidInput, match=r"keeps to 0\.03125 nats, found -140\.06"):
        there_and_back(codec(Level.COMPACT), [far])


def test_half_precision_refuses_what_it_does_not_hold() -> None:
    with pytest.raises(InvalidInput, match="float16 holds"):
        there_and_back(codec(dtype="float16"), [drawn(1)])


@given(records)
def test_ids_of_a_table_bring_the_own_tokens_along(seeds: list[int | None]) -> None:
    found = made(seeds)
    _, _, tokens = there_and_back(codec(ids="table"), found)
    assert np.array_equal(tokens, own(found))


def test_own_tokens_without_a_table_are_refused() -> None:
    found = [drawn(1), drawn(2)]
    given = ragged(found)
    tokens = codec(ids="table").encode(given, own(found)).tokens
    streams = codec().encode(given, own(found))._replace(tokens=[b"", tokens[1]])
    with pytest.raises(InvalidInput, match="stream tokens: expected no bytes") as error:
        codec().decode(streams, given.positions, given.first_pos)
    assert error.value.members["record"] == 1


@given(st.lists(st.none() | st.integers(0, 99), min_size=2, max_size=6), st.data())
@settings(max_examples=300)
def test_an_altered_blob_is_refused_or_still_a_distribution(seeds: list[int | None], data: st.DataObject) -> None:
    """Bytes are verified before they are decoded; a maker who signs nonsense must not crash a reader, or take its memory."""
    how = codec(data.draw(st.sampled_from(Level)), ids=data.draw(st.sampled_from(["observed", "table"])))
    found = [None if each is None else replace(each, logprobs=each.logprobs.clip(-30, 0)) for each in made(seeds)]
    given = ragged(found)
    streams = Streams(*(list(stream) for stream in how.encode(given, own(found))))
    stream = getattr(streams, data.draw(st.sampled_from(STREAMS)))
    row = data.draw(st.integers(0, len(stream) - 1))
    blob = bytearray(stream[row])
    match data.draw(st.integers(0, 3)):
        case 0 if blob:
            blob[data.draw(st.integers(0, len(blob) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        case 1:
            del blob[data.draw(st.integers(0, len(blob))) :]
        case 2:
            blob += data.draw(st.binary(min_size=1, max_size=9))
        case _:
            blob = bytearray(data.draw(st.binary(max_size=40)))
    stream[row] = bytes(blob)
    try:
        back, _ = how.decode(streams, given.positions, given.first_pos)
    except InvalidInput:
        pass
    else:
        assert len(back.ids) == len(back.logprobs) == int(back.counts.sum())
        assert not len(back.ids) or back.ids.max() < 1000


@pytest.mark.parametrize("positions", [-1, 1 << 25])
def test_positions_are_bounded_before_anything_is_taken(positions: int) -> None:
    with pytest.raises(InvalidInput, match="n_pos: expected 0 to"):
        codec().decode([[b""]] * len(STREAMS), np.array([positions]), np.array([0]))


def test_counts_that_no_bytes_hold_are_refused_before_memory_is_taken() -> None:
    found = drawn(5)
    given = ragged([found])
    streams = codec().encode(given, own([found]))
    many = codec().encode(replace(given, counts=given.counts * 0, ids=given.ids[:0], logprobs=given.logprobs[:0]), own([found]))
    wide = replace(given, counts=np.full_like(given.counts, 60_000))
    from inbond.registry.shards.stream_codes import encode_counts

    counts = encode_counts(wide.counts, np.array([0, found.n]))
    with pytest.raises(InvalidInput, match="stream ids: expected at most"):
        codec().decode(many._replace(k=counts), given.positions, given.first_pos)
    assert streams.k != counts


def test_the_statement_says_all_of_a_codec() -> None:
    for level in Level:
        for selection in Selection:
            how = codec(level, selection, ids="derived", rank_map="sha256:" + "1" * 64)
            assert LogitsCodec.of(how.described()) == how
    stated = codec().described()
    for change in ({"version": "2"}, {"id": "other"}):
        with pytest.raises(InvalidInput, match="expected inbond-logits 1, found"):
            LogitsCodec.of(_changed(stated, **change))
    for parameters in (
        {},
        stated.parameters | {"level": "rough"},
        stated.parameters | {"k": 3},
        stated.parameters | {"ids": "guessed"},
    ):
        with pytest.raises(InvalidInput, match="logits codec"):
            LogitsCodec.of(_changed(stated, parameters=parameters))


def _changed(stated: Any, **changes: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(stated, **changes)


def test_whole_distributions_are_cut_as_said() -> None:
    chance = np.random.default_rng(11)
    scores = chance.normal(0, 3, (50, 200))
    logprobs = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    tokens = chance.integers(0, 200, 60).astype(np.uint32)
    p = np.exp(logprobs)
    top = from_dense(logprobs, tokens, 4, k=7)
    top.check(200)
    for row in range(50):
        order = np.argsort(-p[row])
        assert set(top.ids[7 * row : 7 * row + 7]) == set(order[:7])
        assert top.rank[row] == 1 + (p[row] > p[row, tokens[4 + row]]).sum()
        assert top.chosen[row] == np.float32(logprobs[row, tokens[4 + row]])
        assert top.tail[row] == pytest.approx(1 - np.sort(p[row])[::-1][:7].sum(), abs=1e-6)
    cut = from_dense(logprobs, tokens, 4, selection=Selection.NUCLEUS, p=0.9, least=2, cap=30)
    cut.check(200)
    again = truncated(from_dense(logprobs, tokens, 4, k=200), p=0.9, least=2, cap=30)
    assert np.array_equal(cut.ids, again.ids)
    for row, count in enumerate(cut.counts):
        mass = np.cumsum(np.sort(p[row])[::-1])
        assert count == max(2, min(30, int(np.searchsorted(mass, 0.9) + 1)))


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "more positions than tokens": ({"first_pos": 100}, "more positions than tokens"),
    "a token id outside the vocabulary": (
        {"input_ids": np.full(40, 1000, np.uint32)},
        "field input_ids: expected token ids below 1000",
    ),
    "above zero": ({"logprobs": 0.5}, "at most 0, found 0.5"),
    "not a number": ({"logprobs": np.nan}, "found nan"),
    "a sentinel": ({"logprobs": -np.inf}, "found -inf"),
    "mass above one": ({"logprobs": -1e-6, "all": True}, "mass at most 1"),
    "rising": ({"rising": True}, "expected falling values"),
    "an entry twice": ({"twice": True}, "twice"),
    "tail above one": ({"tail": 1.5}, "mass from 0 to 1, found 1.5"),
    "chosen above zero": ({"chosen": 0.1}, "field chosen"),
    "fewer log-probabilities than ids": ({"shorter": True}, "field logprobs: expected"),
    "another dtype": ({"dtype": True}, "of float64"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_distribution_is_refused(name: str) -> None:
    change, text = WRONG[name]
    logprobs = np.log(np.tile(np.array([0.5, 0.3, 0.1], np.float32), 3))
    found = Distributions(
        input_ids=np.arange(40, dtype=np.uint32),
        first_pos=2,
        counts=np.full(3, 3, np.uint32),
        ids=np.arange(9, dtype=np.uint32),
        logprobs=logprobs,
        tail=np.full(3, 0.1, np.float32),
        chosen=np.full(3, np.nan, np.float32),
        rank=np.zeros(3, np.uint32),
    )
    found.check(1000)
    if change.get("all"):
        found = replace(found, logprobs=np.full(9, -1e-6, np.float32))
    elif "logprobs" in change:
        found.logprobs[4] = change["logprobs"]
    elif change.get("rising"):
        found.logprobs[4], found.logprobs[5] = found.logprobs[5], found.logprobs[4]
    elif change.get("twice"):
        found.ids[5] = found.ids[4]
    elif change.get("shorter"):
        found = replace(found, logprobs=logprobs[:-1])
    elif change.get("dtype"):
        found = replace(found, logprobs=logprobs.astype(np.float64))
    elif "tail" in change or "chosen" in change:
        for field, value in change.items():
            getattr(found, field)[1] = value
    else:
        found = replace(found, **change)
    with pytest.raises(InvalidInput, match=text):
        found.check(1000)


@pytest.mark.parametrize("width", [1, 4, 256, 300, None])
def test_rectangles_hold_the_first_entries_of_each_position(width: int | None) -> None:
    given = ragged([drawn(seed) for seed in range(4)])
    assert given.counts.max() == 300
    dense = given.dense(width)
    ends = np.cumsum(given.counts.astype(int))
    for row, (end, count) in enumerate(zip(ends, given.counts.astype(int), strict=True)):
        kept = min(count, dense.ids.shape[1])
        for name, nothing in (("ids", 0), ("logprobs", -np.inf), ("mask", False)):
            found = getattr(dense, name)[row]
            flat = np.ones(count, bool) if name == "mask" else getattr(given, name)[end - count : end]
            assert np.array_equal(found[:kept], flat[:kept]), (row, name)
            assert (found[kept:] == nothing).all(), (row, name)
