import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from inbond.registry.importers import Rejected
from inbond.registry.importers.observed import Observed
from inbond.registry.shards.records import Record
from tests.registry.importers.seen import entries, generated, record, reject, scored

Import = Callable[..., list[Record | Observed | Rejected]]

PROMPT = [151644, 872, 198]
PROMPT_LOGPROBS = [
    None,
    {"872": {"logprob": -7.5, "rank": 900, "decoded_token": "user"}, "9": {"logprob": -0.5, "rank": 1, "decoded_token": "a"}},
    {"198": {"logprob": -0.01, "rank": 1, "decoded_token": "\n"}, "11": {"logprob": -9999.0, "rank": 2, "decoded_token": ","}},
]


def position(token: str, logprob: float, *tops: tuple[str, float]) -> dict[str, Any]:
    top = [{"token": text, "bytes": list(text.encode()), "logprob": value} for text, value in tops]
    return {"token": token, "logprob": logprob, "bytes": list(token.encode()), "top_logprobs": top}


def chat(content: Any, **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "Hi!", "reasoning_content": None, "tool_calls": []}
    choice = {"index": 0, "message": message, "logprobs": {"content": content}, "finish_reason": "stop", "stop_reason": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "Qwen/Qwen3-8B",
        "system_fingerprint": "vllm-0.11.0-1a2b3c4d",
        "choices": [{**choice, **more.pop("choice", {})}],
        **more,
    }


NAMED = [
    position("token_id:13048", -0.1, ("token_id:13048", -0.1), ("token_id:9707", -2.5)),
    position("token_id:0", -0.5, ("token_id:0", -0.5)),
]


def test_named_ids_and_scored_prompts(run_import: Import) -> None:
    given = chat(NAMED, prompt_token_ids=PROMPT, prompt_logprobs=PROMPT_LOGPROBS, choice={"token_ids": [13048, 0]})
    (found,) = run_import("vllm", [given])
    assert record(found).input_ids == (*PROMPT, 13048, 0)
    wrote = generated(found)
    assert (wrote.tokens, wrote.before) == ([13048, 0], PROMPT)
    assert entries(wrote) == [[(13048, -0.1), (9707, -2.5)], [(0, -0.5)]]
    of_prompt = scored(found)
    assert (of_prompt.tokens, of_prompt.before, of_prompt.after) == ([872, 198], [151644], [13048, 0])
    assert (of_prompt.chosen, of_prompt.ranks) == ([-7.5, -0.01], [900, 1])
    assert entries(of_prompt) == [[(872, -7.5), (9, -0.5)], [(198, -0.01)]]
    assert '"system_fingerprint":"vllm-0.11.0-1a2b3c4d"' in (record(found).extra or "")


def test_without_prompt_ids_the_first_entry_is_the_token(run_import: Import) -> None:
    (found,) = run_import("vllm", [chat(NAMED, prompt_logprobs=PROMPT_LOGPROBS)])
    assert (scored(found).tokens, scored(found).before, scored(found).after) == ([872, 198], (), ())
    assert (record(found).input_ids, generated(found).before) == (None, ())


def test_ids_beside_texts_without_alternatives_are_taken(run_import: Import) -> None:
    texts = [position("Hi", -0.1), position("!", -0.5)]
    alone, beside = run_import(
        "vllm",
        [
            chat(texts, prompt_token_ids=PROMPT, choice={"token_ids": [13048, 0]}),
            chat([position("Hi", -0.1, ("Hi", -0.1), ("He", -3.0)), position("!", -0.5)], choice={"token_ids": [13048, 0]}),
        ],
    )
    assert (generated(alone).tokens, generated(alone).before) == ([13048, 0], PROMPT)
    assert generated(beside).tokens == [b"Hi", b"!"]


def test_completions_have_ids_and_prompts_in_the_choice(run_import: Import) -> None:
    choice = {
        "index": 0,
        "text": " a",
        "logprobs": {
            "tokens": ["token_id:64"],
            "token_logprobs": [-0.5],
            "top_logprobs": [{"token_id:64": -0.5, "token_id:65": -1.0}],
        },
        "finish_reason": "length",
        "prompt_token_ids": PROMPT,
        "token_ids": [64],
        "prompt_logprobs": PROMPT_LOGPROBS,
    }
    (found,) = run_import("vllm", [{"object": "text_completion", "choices": [choice]}])
    assert record(found).input_ids == (*PROMPT, 64)
    assert (generated(found).tokens, entries(generated(found))) == ([64], [[(64, -0.5), (65, -1.0)]])
    assert scored(found).after == [64]


def packed(ids: Any, values: Any, **changes: Any) -> dict[str, Any]:
    matrix = {
        "shape": [2, 2],
        "token_ids_dtype": "<i4",
        "logprobs_dtype": "<f4",
        "token_ids_b64": base64.b64encode(np.array(ids, "<i4").tobytes()).decode(),
        "logprobs_b64": base64.b64encode(np.array(values, "<f4").tobytes()).decode(),
        **changes,
    }
    told = {"tokens": ["token_id:7", "token_id:8"], "token_logprobs": [-0.5, -9999.0], "top_logprobs": [], "text_offset": [0, 10]}
    return {"choices": [{"index": 0, "text": "ab", "logprobs": {**told, "packed_top_logprobs": matrix}}]}


def test_packed_matrices_are_entries(run_import: Import) -> None:
    (found,) = run_import("vllm", [packed([[7, 9], [1, 2]], [[-0.5, -1.5], [-0.25, -np.inf]])])
    assert generated(found).tokens == [7, 8]
    assert generated(found).chosen == [-0.5, None]
    assert entries(generated(found)) == [[(7, -0.5), (9, -1.5)], [(1, -0.25)]]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"shape": [3, 2]}, "shape"),
        ({"shape": [2, 3]}, "token_ids_b64"),
        ({"shape": [2, -2]}, "shape"),
        ({"token_ids_dtype": "<i8"}, "token_ids_dtype"),
        ({"logprobs_dtype": "<f2"}, "logprobs_dtype"),
        ({"logprobs_b64": "AAAA"}, "logprobs_b64"),
        ({"logprobs_b64": "%%%"}, "logprobs_b64"),
    ],
)
def test_matrices_of_another_form_are_rejected(run_import: Import, change: dict[str, Any], field: str) -> None:
    (rejected,) = run_import("vllm", [packed([[7, 9], [1, 2]], [[-0.5, -1.5], [-0.25, -2.0]], **change)])
    assert reject(rejected) == (f"choices[0].logprobs.packed_top_logprobs.{field}", "wrong-value")


def test_each_choice_is_a_sample_and_the_first_has_the_prompt(run_import: Import) -> None:
    given = chat(NAMED, prompt_logprobs=PROMPT_LOGPROBS)
    given["choices"].append({**given["choices"][0], "index": 1})
    first, second = run_import("vllm", [given])
    assert scored(first).tokens == [872, 198]
    assert isinstance(second, Observed)
    assert (second.scored, second.record.sample) == (None, 1)


@pytest.mark.parametrize(
    ("more", "field", "reason"),
    [
        ({"prompt_logprobs": [PROMPT_LOGPROBS[1]]}, "choices[0].prompt_logprobs", "wrong-value"),
        ({"prompt_logprobs": [None, None]}, "choices[0].prompt_logprobs", "wrong-value"),
        ({"prompt_logprobs": PROMPT_LOGPROBS, "prompt_token_ids": [1]}, "choices[0].prompt_logprobs", "wrong-value"),
        ({"prompt_logprobs": PROMPT_LOGPROBS, "prompt_token_ids": [1, 2, 3]}, "choices[0].prompt_logprobs[1]", "wrong-value"),
        ({"prompt_logprobs": [None, {"1": {"logprob": "a"}}]}, "prompt_logprobs[1][...].logprob", "wrong-type"),
        ({"prompt_logprobs": [None, {"x": {"logprob": -1}}]}, "prompt_logprobs[1]", "wrong-type"),
        ({"prompt_token_ids": [-1]}, "prompt_token_ids", "wrong-value"),
        ({"prompt_token_ids": ["a"]}, "prompt_token_ids[0]", "wrong-type"),
        ({"choice": {"token_ids": [1]}}, "choices[0].token_ids", "wrong-value"),
        ({"error": {"message": "no"}}, "error", "failed-request"),
        ({"choices": []}, "choices", "wrong-value"),
    ],
)
def test_what_does_not_fit_is_rejected(run_import: Import, more: dict[str, Any], field: str, reason: str) -> None:
    (rejected,) = run_import("vllm", [chat(NAMED, **more)])
    assert reject(rejected) == (field, reason)
