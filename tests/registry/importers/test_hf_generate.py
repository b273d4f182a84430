import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inbond.registry.importers.hf_generate import from_generate
from inbond.registry.importers.vocabulary import observed
from inbond.registry.shards.records import Message
from inbond.schemas.errors import InvalidInput
from tests.registry.importers.seen import entries, generated


class Tensor:
    """What a tensor of another library offers: a type of its own, detach, float, and the array protocol."""

    def __init__(self, values: Any, dtype: str = "torch.float32") -> None:
        self.dtype = dtype
        self._values = np.asarray(values)

    def float(self) -> "Tensor":
        return Tensor(self._values)

    def detach(self) -> "Tensor":
        return self

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        assert "bfloat16" not in self.dtype
        return self._values


def logits(*rows: list[float]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


SEQUENCES = np.array([[0, 9, 3, 1, 2], [8, 9, 0, 2, 2]])
STEPS = (
    logits([0, 0, 0, 5, 0], [5, 1, 0, 0, -np.inf]),
    logits([3, 4, 0, 0, 0], [0, 0, 9, 0, 0]),
    logits([0, 0, 7, 0, 0], [0, 0, 7, 0, 0]),
)


def test_the_likeliest_are_kept_and_normalised() -> None:
    first, second = from_generate(
        SEQUENCES,
        STEPS,
        2,
        texts=["a", "b"],
        prompts=[[Message("user", "p")], [Message("user", "q")]],
        k=2,
        end_of_text=2,
        padding=0,
        per_prompt=2,
    )
    assert (first.record.prompt, first.record.response, first.record.sample) == ((Message("user", "p"),), "a", 0)
    assert (first.record.input_ids, first.record.prompt_tokens, first.record.response_tokens) == ((9, 3, 1, 2), 1, 3)
    assert (second.record.input_ids, second.record.sample) == ((8, 9, 0, 2), 1)  # up to the end of text
    found = generated(first)
    assert (found.tokens, found.before, found.ranks) == ([3, 1, 2], [9], [1, 1, 1])
    total = math.log(math.exp(3) + math.exp(4) + 3)
    assert entries(found)[1] == [(1, pytest.approx(4 - total)), (0, pytest.approx(3 - total))]
    assert found.chosen[1] == pytest.approx(4 - total)
    distributions = observed("sha256:" + "0" * 64, 10).distributions(found)
    distributions.check(10)
    assert distributions.first_pos == 1
    np.testing.assert_allclose(distributions.tail[1], 3 / math.exp(total), rtol=1e-5)


def test_what_was_ruled_out_is_no_entry() -> None:
    (_, second) = from_generate(SEQUENCES, STEPS, 2, texts=["a", "b"], k=9)
    assert generated(second).counts == [4, 5, 5]
    ruled_out = [logits([0, 0, 0, -np.inf, 0], [5, 1, 0, 0, 0]), *STEPS[1:]]
    first = from_generate(SEQUENCES, ruled_out, 2, texts=["a", "b"], k=9)[0]
    assert generated(first).chosen[0] is None


def test_tensors_of_other_libraries_are_read() -> None:
    plain = from_generate(SEQUENCES, STEPS, 2, texts=["a", "b"])
    steps = [Tensor(step, "torch.bfloat16") for step in STEPS]
    assert from_generate(Tensor(SEQUENCES, "torch.int64"), steps, 2, texts=["a", "b"]) == plain


def test_an_answer_of_no_tokens_has_no_logprobs() -> None:
    (found,) = from_generate(np.array([[1, 2]]), (), 2, texts=[""])
    assert (found.generated, found.record.input_ids) == (None, (1, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sequences": SEQUENCES[:, :4]}, r"expected integer ids \[B, 2 \+ 3\], found shape \(2, 4\)"),
        ({"sequences": SEQUENCES.astype(float)}, "expected integer ids"),
        ({"sequences": SEQUENCES[0]}, "expected integer ids"),
        ({"steps": (STEPS[0][:1], *STEPS[1:])}, r"steps\[0\]: expected floats \[2, V\], found shape \(1, 5\)"),
        ({"steps": (np.zeros((2, 5), int), *STEPS[1:])}, r"steps\[0\]: expected floats"),
        ({"steps": (np.full((2, 5), np.nan), *STEPS[1:])}, "found NaN or infinity"),
        ({"steps": (np.full((2, 5), -np.inf), *STEPS[1:])}, "expected a token that is possible"),
        ({"steps": tuple(step[:, :3] for step in STEPS)}, "expected token ids below 3, found 3"),
        ({"texts": ["a"]}, "texts: expected 2, one a sequence, found 1"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"sequences": SEQUENCES, "steps": STEPS, "texts": ["a", "b"], **change}
    with pytest.raises(InvalidInput, match=message):
        from_generate(given["sequences"], given["steps"], 2, texts=given["texts"])
