import math

import numpy as np
import pytest

from inbond.registry.importers.observed import joined, token_logprobs
from inbond.registry.importers.texts import Texts
from inbond.registry.importers.vocabulary import Tokenizer, TokenTable
from inbond.schemas.errors import InvalidInput
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


def test_texts_by_number_are_the_texts() -> None:
    table = [b"a", b"b", b"c"]
    texts = Texts(np.array([2, 0, 2]), table)
    assert texts == [b"c", b"a", b"c"]
    assert texts != [b"c"]
    assert (texts[0], texts[1:], len(texts), repr(texts)) == (b"c", [b"a", b"c"], 3, "[b'c', b'a', b'c']")
    assert texts == Texts(np.array([0, 1, 0]), [b"c", b"a"])
    with pytest.raises(TypeError, match="compared"):
        hash(texts)
    kept = token_logprobs(texts[:2], [-1.0, -1.0], [1, 1], texts[1:], [-9999.0, -0.5])
    assert entries(kept) == [[], [(b"c", -0.5)]]


def test_texts_by_number_get_the_ids_of_the_same_texts() -> None:
    table = [b"a", b"b"]
    by_number, by_text, tokenizer = TokenTable(), TokenTable(), Tokenizer("sha256:" + "0" * 64, 9, {b"a": 7, b"b": 8, b"c": 1})
    for codes in ([1, 0, 1], [2, 1], [0, 3, 2]):
        while len(table) <= max(codes):
            table.append(b"cd"[len(table) - 2 : len(table) - 1])
        texts = Texts(np.array(codes), table)
        for names in (texts, Texts(texts.codes, list(table))):  # the same table as before, and another one
            given = [token_logprobs(tokens, [None] * len(codes), [0] * len(codes), [], []) for tokens in (names, list(names))]
            assert by_number.distributions(given[0]).input_ids.tolist() == by_text.distributions(given[1]).input_ids.tolist()
            if b"d" in list(names):
                with pytest.raises(InvalidInput, match="found b'd', which is none"):
                    tokenizer.distributions(given[0])
            else:
                found = [tokenizer.distributions(each).input_ids.tolist() for each in given]
                assert found[0] == found[1]
    assert by_number.tokens == by_text.tokens == (b"b", b"a", b"c", b"d")
