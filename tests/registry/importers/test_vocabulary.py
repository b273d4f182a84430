import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.registry.importers.observed import TokenLogprobs, token_logprobs
from inbond.registry.importers.vocabulary import TABLE_MAGIC, Tokenizer, TokenTable, observed
from inbond.registry.shards.distributions import Distributions, Selection
from inbond.schemas.errors import InvalidInput

DIGEST = "sha256:" + "ab" * 32


def of(tokens: Any, chosen: Any, tops: list[list[tuple[Any, float]]], **more: Any) -> TokenLogprobs:
    return token_logprobs(
        tokens,
        chosen,
        [len(top) for top in tops],
        [token for top in tops for token, _ in top],
        [value for top in tops for _, value in top],
        **more,
    )


def positions(found: Distributions) -> list[list[tuple[int, float]]]:
    pairs = list(zip(found.ids.tolist(), found.logprobs.tolist(), strict=True))
    ends = np.cumsum(found.counts, dtype=np.int64).tolist()
    return [pairs[end - int(count) : end] for end, count in zip(ends, found.counts, strict=True)]


def log(*values: float) -> list[float]:
    return [math.log(value) for value in values]


def test_entries_are_sorted_and_the_tail_is_what_is_left() -> None:
    tops = [[(7, log(0.25)[0]), (3, log(0.5)[0])], [], [(9, log(0.999999)[0]), (8, log(0.0001)[0])]]
    found = observed(DIGEST, 10).distributions(
        of([3, 4, 8], [math.log(0.5), None, math.log(0.0001)], tops, before=[1, 2], after=[5])
    )
    found.check(10)
    assert [[token for token, _ in position] for position in positions(found)] == [[3, 7], [], [9, 8]]
    assert found.input_ids.tolist() == [1, 2, 3, 4, 8, 5]
    assert (found.first_pos, found.n) == (2, 3)
    np.testing.assert_allclose(found.tail[[0, 2]], [0.25, 0.0], atol=1e-6)
    assert np.isnan(found.tail[1])
    assert np.isnan(found.chosen[1])


def test_a_rank_is_known_where_no_other_token_can_come_before() -> None:
    tops = [
        [(1, math.log(0.6)), (2, math.log(0.2))],  # the most likely
        [(1, math.log(0.6)), (2, math.log(0.1)), (4, math.log(0.1))],  # not the last, so in its place
        [(1, math.log(0.6)), (2, math.log(0.1)), (3, math.log(0.01))],  # the last: may have been put behind the others
        [(1, math.log(0.6)), (2, math.log(0.39))],  # the last, but it weighs more than all that are not there
        [(1, math.log(0.6))],  # not there
    ]
    found = observed(DIGEST, 10).distributions(of([1, 2, 3, 2, 5], [None] * 5, tops))
    assert found.rank.tolist() == [1, 2, 0, 2, 0]
    np.testing.assert_allclose(found.chosen[:4], np.log([0.6, 0.1, 0.01, 0.39]), rtol=1e-6)
    assert np.isnan(found.chosen[4])
    told = observed(DIGEST, 10).distributions(of([1, 2, 3, 2, 5], [None] * 5, tops, ranks=[1, 2, 40, 2, 0]))
    assert told.rank.tolist() == [1, 2, 40, 2, 0]


def test_rounding_above_zero_is_zero_and_more_is_refused() -> None:
    found = observed(DIGEST, 10).distributions(of([1], [1e-7], [[(1, 1e-7)]]))
    found.check(10)
    assert (found.chosen.tolist(), found.logprobs.tolist()) == ([0.0], [0.0])
    with pytest.raises(InvalidInput, match="expected a log-probability of at most 0"):
        observed(DIGEST, 10).distributions(of([1], [0.1], [[(1, 0.1)]])).check(10)


def test_one_token_twice_is_one_entry_or_refused() -> None:
    same = observed(DIGEST, 10).distributions(of([1], [-0.5], [[(1, -0.5), (2, -2.0), (1, -0.5)]]))
    same.check(10)
    assert same.ids.tolist() == [1, 2]
    with pytest.raises(InvalidInput, match=r"position 0: expected one log-probability for token 1, found -0.5 and -0.25"):
        observed(DIGEST, 10).distributions(of([1], [-0.5], [[(1, -0.5), (2, -2.0), (1, -0.25)]]))
    texts = TokenTable().distributions(
        of([b"a"], [None], [[(b"?", math.log(0.25)), (b"a", math.log(0.4)), (b"?", math.log(0.25))]])
    )
    texts.check(2)
    np.testing.assert_allclose(texts.logprobs, np.log([0.5, 0.4]), rtol=1e-6)
    np.testing.assert_allclose(texts.tail, [0.1], atol=1e-6)


def test_draws_are_counts_in_falling_order_without_a_tail() -> None:
    found = TokenLogprobs(
        tokens=[4, 4],
        chosen=[-1.0, None],
        counts=[3, 1],
        alternatives=[5, 4, 6, 4],
        logprobs=[-3.0, -1.0, -2.0, -0.1],
        draws=[1, 5, 1, 8],
        selection=Selection.DRAWS,
    )
    drawn = observed(DIGEST, 10).distributions(found)
    drawn.check(10)
    assert drawn.draws is not None
    assert (drawn.ids.tolist(), drawn.draws.tolist()) == ([4, 6, 5, 4], [5, 1, 1, 8])
    assert np.isnan(drawn.tail).all()
    assert drawn.rank.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (of([1, 2], [None], [[], []]), r"expected as many as tokens \(2\), found entries for 2 positions, 1 chosen"),
        (of([1], [None], [[]], ranks=[1, 2]), "found entries for 1 positions, 1 chosen and 2 ranks"),
        (of([10], [None], [[]]), "expected token ids from 0 to 9, found 10"),
        (of([1], [None], [[(-1, -0.5)]]), "expected token ids from 0 to 9, found -1"),
        (of([b"a"], [None], [[]]), "expected token ids, found texts"),
        (
            TokenLogprobs(tokens=[1], chosen=[None], counts=[2], alternatives=[1], logprobs=[-1.0]),
            "expected 2 entries, found 1 tokens and 1 values",
        ),
        (
            TokenLogprobs(tokens=[1], chosen=[None], counts=[1], alternatives=[1], logprobs=[-1.0], selection=Selection.DRAWS),
            "expected counts of draws",
        ),
    ],
)
def test_lists_that_do_not_fit_are_refused(found: TokenLogprobs, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        observed(DIGEST, 10).distributions(found)


def test_texts_and_ids_are_not_mixed() -> None:
    ids = of([1], [None], [[]])
    with pytest.raises(InvalidInput, match="expected texts of tokens for a token table"):
        TokenTable().distributions(ids)
    with pytest.raises(InvalidInput, match="expected texts of tokens for a tokenizer"):
        Tokenizer(DIGEST, 1, {b"a": 0}).distributions(ids)
    with pytest.raises(InvalidInput, match="expected a size from 1"):
        observed(DIGEST, 0)


def test_a_tokenizer_gives_ids_and_refuses_what_it_does_not_know() -> None:
    tokenizer = Tokenizer(DIGEST, 300, {b"a": 7, b" b": 299})
    assert (tokenizer.ids, tokenizer.size) == ("derived", 300)
    found = tokenizer.distributions(of([b" b"], [-0.5], [[(b" b", -0.5), (b"a", -1.5)]]))
    assert (found.input_ids.tolist(), found.ids.tolist()) == ([299], [299, 7])
    with pytest.raises(InvalidInput, match=r"found b'\\xe2\\x80', which is none"):
        tokenizer.distributions(of([b"a"], [-0.5], [[(b"\xe2\x80", -0.5)]]))


TOKENS = st.lists(st.binary(max_size=6), max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(TOKENS, max_size=4))
def test_a_table_comes_back_and_its_ids_stay(texts: list[list[bytes]]) -> None:
    table = TokenTable()
    for tokens in texts:
        found = table.distributions(of(tokens, [None] * len(tokens), [[] for _ in tokens]))
        assert [table.tokens[number] for number in found.input_ids.tolist()] == tokens
    data = table.data()
    again = TokenTable.read(data)
    assert (again.tokens, again.data(), again.digest, again.size) == (table.tokens, data, table.digest, table.size)
    more = again.distributions(of([b"new token"], [None], [[]]))
    assert more.input_ids.tolist() == [table.size]
    assert again.tokens[: table.size] == table.tokens


@pytest.mark.parametrize(
    "data",
    [
        b"",
        TABLE_MAGIC[:-1],
        TABLE_MAGIC + b"\0",
        TABLE_MAGIC + b"\0\0\0\2a",
        TABLE_MAGIC + b"\0\0\0\1a" * 2,
        TABLE_MAGIC + b"\xff" * 9,
    ],
)
def test_bytes_that_no_table_gives_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="token table"):
        TokenTable.read(data)
    with pytest.raises(InvalidInput, match="at most 65536 bytes"):
        TokenTable([b"x" * 65_537])
