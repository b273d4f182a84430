import math

from inbond.registry.importers.observed import joined, token_logprobs
from tests.registry.importers.seen import entries


def test_no_sentinel_is_an_entry_or_a_logprob() -> None:
    found = token_logprobs(
        [1, 2, 3, 4],
        [-0.5, -9999.0, None, -math.inf],
        [3, 2, 0, 1],
        [1, 5, 6, 2, 7, 8],
        [-0.5, -9999.0, -99999.0, -3.4028235e38, -2.0, -math.inf],
    )
    assert found.chosen == [-0.5, None, None, None]
    assert entries(found) == [[(1, -0.5)], [(7, -2.0)], [], []]
    assert found.has_ids


def test_nan_is_no_sentinel() -> None:
    found = token_logprobs([1], [-0.5], [1], [1], [math.nan])
    assert found.counts == [1]
    assert math.isnan(found.logprobs[0])


def test_parts_of_a_text_are_one_after_the_other() -> None:
    parts = [token_logprobs([b"a"], [-1.0], [1], [b"b"], [-2.0]), token_logprobs([b"c"], [None], [0], [], [])]
    whole = joined(parts)
    assert whole is not None
    assert (whole.tokens, whole.chosen, entries(whole)) == ([b"a", b"c"], [-1.0, None], [[(b"b", -2.0)], []])
    assert joined(parts[:1]) is parts[0]
    assert joined([]) is None
