import json
from collections.abc import Callable
from typing import Any

import pytest

from inbond.registry.importers import Rejected
from inbond.registry.importers.observed import Observed
from inbond.registry.shards.records import Record
from tests.registry.importers.seen import entries, generated, record, reject, scored

Import = Callable[..., list[Record | Observed | Rejected]]


def response(**changes: Any) -> dict[str, Any]:
    return {
        "type": "sample",
        "sequences": [{"tokens": [9707, 0], "logprobs": [-0.1, -0.5], "stop_reason": "stop", "text": "Hi!"}],
        "prompt_logprobs": [None, -4.5, -0.5],
        "topk_prompt_logprobs": [None, [[11, -1.0], [872, -4.5]], [[198, -0.5], [0, -99999.0]]],
        "prompt": {"chunks": [{"type": "encoded_text", "tokens": [151644, 872]}, {"type": "encoded_text", "tokens": [198]}]},
        **changes,
    }


def test_sequences_are_generated_and_the_prompt_is_scored(run_import: Import) -> None:
    (found,) = run_import("tinker", [response()])
    assert record(found) == Record(
        prompt=None,
        own_turns=(),
        response="Hi!",
        extra='{"type":"sample"}',
        input_ids=(151644, 872, 198, 9707, 0),
        finish_reason="stop",
        prompt_tokens=3,
        response_tokens=2,
    )
    assert (generated(found).before, generated(found).tokens, generated(found).chosen) == (
        [151644, 872, 198],
        [9707, 0],
        [-0.1, -0.5],
    )
    assert (scored(found).before, scored(found).tokens, scored(found).after) == ([151644], [872, 198], [9707, 0])
    assert scored(found).chosen == [-4.5, -0.5]
    assert entries(scored(found)) == [[(11, -1.0), (872, -4.5)], [(198, -0.5)]]


def test_draws_with_replacement_are_counted(run_import: Import) -> None:
    drawn = {
        "tokens": {"data": [5, 5, 872, 5, 7, 7, 7, 7], "dtype": "int64", "shape": [2, 4]},
        "logprobs": {"data": [-0.5, -0.5, -4.5, -0.5, -0.1, -0.1, -0.1, -0.1], "dtype": "float32", "shape": [2, 4]},
    }
    (found,) = run_import("tinker", [response(topk_prompt_logprobs=None, prompt_alt_tokens=drawn, prompt=[151644, 872, 198])])
    assert scored(found).selection.value == "draws"
    assert (scored(found).counts, scored(found).draws) == ([2, 1], [3, 1, 4])
    assert entries(scored(found)) == [[(5, -0.5), (872, -4.5)], [(7, -0.1)]]


def test_names_of_the_other_runtime_are_known(run_import: Import) -> None:
    given = {
        "sequences": [{"tokens": [9707], "logprobs": [-0.1], "stopReason": "length", "text": "Hi"}],
        "promptLogprobs": [None, -4.5],
        "topkPromptLogprobs": [None, [{"tokenId": 11, "logprob": -1.0}]],
        "prompt": [151644, 872],
    }
    (found,) = run_import("tinker", [given])
    assert record(found).finish_reason == "length"
    assert (scored(found).chosen, entries(scored(found))) == ([-4.5], [[(11, -1.0)]])


def test_without_the_prompts_tokens_what_is_said_of_them_stays(run_import: Import) -> None:
    given = response(prompt="Hi")
    given["sequences"].append({"tokens": [], "text": ""})
    first, second = run_import("tinker", [given])
    assert isinstance(first, Observed)
    assert (first.scored, record(first).input_ids) == (None, None)
    assert json.loads(record(first).extra or "")["prompt_logprobs"] == [None, -4.5, -0.5]
    assert second == record(second)
    assert (record(second).sample, record(second).response) == (1, "")


def test_a_tokenizer_gives_the_text(run_import: Import, tmp_path: Any) -> None:
    path = tmp_path / "tokenizer.json"
    model = {"type": "BPE", "vocab": {"H": 0, "i": 1, "Ġthere": 2, "â": 3}}
    path.write_text(
        json.dumps({"model": model, "decoder": {"type": "ByteLevel"}, "added_tokens": [{"id": 4, "content": "<|end|>"}]})
    )
    given = {"sequences": [{"tokens": [0, 1, 2, 3, 4]}, {"tokens": [5]}]}
    (found,) = run_import("tinker", [{"sequences": given["sequences"][:1]}], tokenizer=str(path))
    assert record(found).response == "Hi there\ufffd<|end|>"
    (rejected,) = run_import("tinker", [given], tokenizer=str(path))
    assert reject(rejected) == ("sequences[1].tokens", "wrong-value")
    (without,) = run_import("tinker", [given])
    assert reject(without) == ("sequences[0].text", "missing-field")


def drawn(shape: list[int]) -> dict[str, Any]:
    matrix = {"data": [1.0, 2.0], "dtype": "int64", "shape": shape}
    return {"topk_prompt_logprobs": None, "prompt_alt_tokens": {"tokens": matrix, "logprobs": matrix}}


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"sequences": []}, "sequences", "wrong-value"),
        ({"sequences": [{"text": "x"}]}, "sequences[0].tokens", "missing-field"),
        ({"sequences": [{"tokens": ["a"]}]}, "sequences[0].tokens[0]", "wrong-type"),
        ({"sequences": [{"tokens": [-1]}]}, "sequences[0].tokens", "wrong-value"),
        ({"sequences": [{"tokens": [1], "text": "x", "logprobs": []}]}, "sequences[0].logprobs", "wrong-value"),
        ({"prompt_logprobs": [None]}, "prompt_logprobs", "wrong-value"),
        ({"topk_prompt_logprobs": [None]}, "topk_prompt_logprobs", "wrong-value"),
        ({"topk_prompt_logprobs": [None, [[-1, -1.0]], []]}, "topk_prompt_logprobs", "wrong-value"),
        (drawn([1, 2]), "prompt_alt_tokens", "wrong-value"),
        ({"error": "no", "category": "server"}, "error", "failed-request"),
    ],
)
def test_what_does_not_fit_is_rejected(run_import: Import, change: dict[str, Any], field: str, reason: str) -> None:
    assert reject(run_import("tinker", [response(**change)])[0]) == (field, reason)
