import json
from collections.abc import Callable
from typing import Any

import pytest

from inbond.registry.importers import Rejected
from inbond.registry.importers.observed import Observed
from inbond.registry.shards.records import Record
from tests.registry.importers.seen import entries, generated, record, reject, scored

Import = Callable[..., list[Record | Observed | Rejected]]


def answer(**changes: Any) -> dict[str, Any]:
    meta = {
        "id": "f00",
        "finish_reason": {"type": "length", "length": 2},
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "cached_tokens": 0,
        "input_token_logprobs": [[None, 785, None], [-4.5, 6722, None], [-0.5, 315, " of"]],
        "output_token_logprobs": [[-0.25, 9625, None], [-9999.0, 13, None]],
        "input_top_logprobs": [None, [[-1.0, 11, None], [-2.0, 6722, None]], [[-0.5, 315, " of"]]],
        "output_top_logprobs": [[[-0.25, 9625, None], [-2.5, 12095, None]], [[-0.1, 0, None]]],
    }
    return {"text": " France!", "output_ids": [9625, 13], "meta_info": {**meta, **changes}}


def test_input_is_scored_and_output_generated(run_import: Import) -> None:
    (found,) = run_import("sglang", [answer()])
    assert record(found) == Record(
        prompt=None,
        own_turns=(),
        response=" France!",
        extra='{"meta_info":{"cached_tokens":0,"finish_reason":{"type": "length", "length": 2}},"output_ids":[9625, 13]}',
        input_ids=(785, 6722, 315, 9625, 13),
        finish_reason="length",
        request_id="f00",
        prompt_tokens=3,
        response_tokens=2,
    )
    assert (scored(found).before, scored(found).tokens, scored(found).after) == ([785], [6722, 315], [9625, 13])
    assert scored(found).chosen == [-4.5, -0.5]
    assert entries(scored(found)) == [[(11, -1.0), (6722, -2.0)], [(315, -0.5)]]
    assert (generated(found).before, generated(found).tokens) == ([785, 6722, 315], [9625, 13])
    assert generated(found).chosen == [-0.25, None]
    assert entries(generated(found)) == [[(9625, -0.25), (12095, -2.5)], [(0, -0.1)]]


def test_a_part_of_the_input_does_not_place_the_others(run_import: Import) -> None:
    (found,) = run_import("sglang", [answer(prompt_tokens=9)])
    assert record(found).input_ids is None
    assert (scored(found).before, scored(found).tokens, generated(found).before) == ([], [6722, 315], ())
    late = answer(
        input_token_logprobs=[[-4.5, 6722, None]], input_top_logprobs=None, finish_reason="stop", output_top_logprobs=[]
    )
    (found,) = run_import("sglang", [late])
    assert (scored(found).tokens, record(found).finish_reason, generated(found).counts) == ([6722], "stop", [0, 0])


def test_without_logprobs_there_is_a_text(run_import: Import) -> None:
    (found,) = run_import("sglang", [{"text": "x", "meta_info": {"finish_reason": None}}])
    assert not isinstance(found, Observed)
    assert json.loads(record(found).extra or "") == {"meta_info": {"finish_reason": None}}


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"output_token_logprobs": [[-0.25, "9625", None]]}, "output_token_logprobs[0]", "wrong-value"),
        ({"output_token_logprobs": [[-0.25]]}, "output_token_logprobs[0]", "wrong-value"),
        ({"output_token_logprobs": [[-0.25, -1]]}, "output_token_logprobs[0]", "wrong-value"),
        ({"output_token_logprobs": {}}, "output_token_logprobs", "wrong-type"),
        ({"output_top_logprobs": [[]]}, "output_top_logprobs", "wrong-value"),
        ({"input_top_logprobs": [None, [[0.5]], None]}, "input_top_logprobs[1][0]", "wrong-value"),
        ({"prompt_tokens": "x"}, "prompt_tokens", "wrong-type"),
    ],
)
def test_what_does_not_fit_is_rejected(run_import: Import, change: dict[str, Any], field: str, reason: str) -> None:
    assert reject(run_import("sglang", [answer(**change)])[0]) == (f"meta_info.{field}", reason)


def test_errors_and_other_shapes_are_rejected(run_import: Import) -> None:
    values = [{"error": {"message": "no"}}, {"meta_info": {}}, {"text": "x"}]
    assert [reject(item) for item in run_import("sglang", values)] == [
        ("error", "failed-request"),
        ("text", "missing-field"),
        ("meta_info", "missing-field"),
    ]
