import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inbond.registry.importers import Rejected
from inbond.registry.importers.observed import Observed

Import = Callable[..., list[Any]]


def body(*entries: tuple[str, float], chosen: float = -0.1) -> dict[str, Any]:
    """A chat completion of one token with these alternatives."""
    every = [{"token": text, "bytes": list(text.encode()), "logprob": logprob} for text, logprob in entries]
    token = {"token": "a", "bytes": [97], "logprob": chosen, "top_logprobs": every}
    message = {"role": "assistant", "content": "a"}
    return {
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "logprobs": {"content": [token]}, "message": message}],
    }


GOOD = body(("a", -0.1), ("b", -3.0))
PLACE = "generated log-probabilities, position 0"


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        (body(("a", -0.1), ("b", 0.5)), "at most 0 (or none: null, -9999), found 0.5"),
        (body(("a", -0.1), chosen=0.5), "at most 0 (or none: null, -9999), found 0.5"),
        (body(("a", -0.1), ("b", -0.2)), "entries of mass at most 1, found 1.72357"),
    ],
)
def test_wrong_values_reject_their_record_and_no_other(run_import: Import, wrong: dict[str, Any], found: str) -> None:
    before, rejected, after = run_import("chat-completions", "\n".join(json.dumps(each) for each in (GOOD, wrong, GOOD)).encode())
    assert isinstance(before, Observed)
    assert isinstance(after, Observed)
    assert isinstance(rejected, Rejected)
    assert (rejected.line, rejected.field) == (2, PLACE)
    assert rejected.message().endswith(found)


def test_the_place_counts_positions_not_entries(run_import: Import) -> None:
    said = {"model": "m", "choices": [{"index": 0, "text": "ab", "logprobs": {
        "tokens": ["a", "b"], "token_logprobs": [-0.1, -0.1], "top_logprobs": [{"a": -0.1, "b": -3.0}, {"b": -0.1, "c": 0.25}]
    }}]}  # fmt: skip
    (rejected,) = run_import("completions", json.dumps(said).encode())
    assert rejected.field == "generated log-probabilities, position 1"


def test_a_source_may_list_an_id_twice(run_import: Import) -> None:
    """vLLM and SGLang name the token itself beside the most likely ones, of which it may be one."""
    meta = {
        "output_token_logprobs": [[-0.1, 5, None]],
        "output_top_logprobs": [[[-0.1, 5, None], [-0.1, 5, None], [-3.0, 6, None]]],
    }
    (found,) = run_import("sglang", json.dumps({"text": "a", "meta_info": meta}).encode())
    assert isinstance(found, Observed)


def test_minus_infinity_as_python_writes_it_is_no_log_probability(run_import: Import) -> None:
    text = json.dumps(body(("a", -0.1), ("-Infinity", float("-inf"))))
    assert text.count("-Infinity") == 2
    lone, first, second = run_import("chat-completions", text.encode()) + run_import(
        "chat-completions", f"[{text}, {text}]".encode()
    )
    for found in (lone, first, second):
        assert found.generated.counts == [1]
    assert run_import("chat-completions", json.dumps(body(("-Infinity", -0.1))).encode())[0].generated.alternatives == [
        b"-Infinity"
    ]


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_what_is_no_number_of_json_is_named(run_import: Import, value: str) -> None:
    name = {"nan": "NaN", "inf": "Infinity"}[value]
    text = json.dumps(body(("a", float(value)), ("NaN", -3.0)))
    (found,) = run_import("chat-completions", text.encode())
    at = text.index(f": {name}") + 2
    assert (found.expected, found.found) == ("numbers that JSON has", f"{name} at byte {at} of the record")
    assert (found.reason_code, found.hint) == ("malformed-json", "")


def test_a_number_that_is_too_large_is_called_that(run_import: Import) -> None:
    (found,) = run_import("chat-completions", json.dumps(GOOD).replace("-3.0", "-1e999").encode())
    assert found.expected == "a number that fits into 64 bits"


def test_a_log_probability_of_a_table_that_is_nan_is_no_null(run_import: Import, tmp_path: Path) -> None:
    """Neither within structures nor in a plain list; in a column about something else it may stand."""
    sampled = {"sequences": [{"tokens": [1, 2], "logprobs": [-0.1, float("nan")], "stop_reason": "stop", "text": "ab"}]}
    for name, wrong in (("chat-completions", body(("a", -0.1), ("b", float("nan")))), ("tinker", sampled)):
        pq.write_table(pa.Table.from_pylist([wrong]), tmp_path / "t.parquet")
        (found,) = run_import(name, (tmp_path / "t.parquet").read_bytes())
        assert isinstance(found, Rejected), name
        assert "logprob" in found.field, name
    pq.write_table(pa.Table.from_pylist([GOOD | {"reward": float("nan")}]), tmp_path / "t.parquet")
    assert isinstance(run_import("chat-completions", (tmp_path / "t.parquet").read_bytes())[0], Observed)


def test_a_table_without_rows_has_no_records(run_import: Import, tmp_path: Path) -> None:
    pq.write_table(pa.table({"prompt": pa.array([], pa.string()), "response": pa.array([], pa.string())}), tmp_path / "t.parquet")
    assert run_import("columns", (tmp_path / "t.parquet").read_bytes()) == []


def test_minus_infinity_in_a_table_is_no_log_probability(run_import: Import, tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([body(("a", -0.1), ("b", float("-inf")))]), tmp_path / "t.parquet")
    (found,) = run_import("chat-completions", (tmp_path / "t.parquet").read_bytes())
    assert found.generated.counts == [1]
