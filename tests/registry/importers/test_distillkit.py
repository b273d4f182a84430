import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from inbond.registry.importers import Input, Rejected, importer
from inbond.registry.importers.distillkit_config import Compression, read_compression
from inbond.registry.importers.observed import Observed
from inbond.registry.shards.records import Record
from inbond.schemas.errors import InvalidInput, NotFound
from tests.registry.importers.seen import entries, record, reject, scored

Import = Callable[..., list[Record | Observed | Rejected]]

SCHEMA = pa.schema(
    [
        ("input_ids", pa.list_(pa.uint64())),
        ("compressed_logprobs", pa.list_(pa.list_(pa.uint8()))),
        ("bytepacked_indices", pa.list_(pa.list_(pa.uint8()))),
    ]
)


def pack(numbers: list[int], bits: int) -> list[int]:
    text = "".join(f"{number:0{bits}b}" for number in numbers)
    text += "0" * (-len(text) % 8)
    return [int(text[at : at + 8], 2) for at in range(0, len(text), 8)]


def floats(values: Any, dtype: str = "<f4") -> list[int]:
    return list(np.array(values, dtype).tobytes())


def write(path: Path, rows: list[dict[str, Any]], schema: pa.Schema = SCHEMA) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink)
    path.write_bytes(sink.getvalue())
    return sink.getvalue()


def settings(tmp_path: Path, **values: Any) -> dict[str, str]:
    path = tmp_path / "compression_config.yaml"
    lines = {
        "d": 100_000,
        "k": 2,
        "exact_k": 2,
        "exact_dtype": "float32",
        "delta_encoding": "false",
        "residual_bins": "[]",
        **values,
    }
    path.write_text("".join(f"{name}: {value}\n" for name, value in lines.items()))
    return {"config": str(path)}


def test_exact_entries_belong_to_the_next_token(run_import: Import, tmp_path: Path) -> None:
    row = {
        "input_ids": [5, 6, 7],
        "compressed_logprobs": [floats([-0.5, -1.5]), floats([-0.25, -10_000.0])],
        "bytepacked_indices": [pack([6, 99_999], 17), pack([7, 0], 17)],
    }
    more = {name: value * 2 if name == "input_ids" else [*value, *value, value[0]] for name, value in row.items()}
    first, second = run_import("distillkit", write(tmp_path / "x", [row, more]), **settings(tmp_path))
    assert record(first) == Record(prompt=None, own_turns=(), response="", kind="scored", input_ids=(5, 6, 7))
    found = scored(first)
    assert (found.before, found.tokens) == ([5], [6, 7])
    assert entries(found) == [[(6, -0.5), (99_999, -1.5)], [(7, -0.25)]]
    assert scored(second).tokens == [6, 7, 5, 6, 7]


def test_an_element_after_the_last_token_has_none_to_go_with(run_import: Import, tmp_path: Path) -> None:
    row = {
        "input_ids": [5, 6],
        "compressed_logprobs": [floats([-0.5, -1.5]), floats([-0.25, -2.0])],
        "bytepacked_indices": [pack([6, 1], 17)] * 2,
    }
    alone = {"input_ids": [5], "compressed_logprobs": [], "bytepacked_indices": []}
    first, second = run_import("distillkit", write(tmp_path / "x", [row, alone]), **settings(tmp_path))
    assert entries(scored(first)) == [[(6, -0.5), (1, -1.5)]]
    assert not isinstance(second, Observed)


def test_a_curve_and_residuals_are_added(tmp_path: Path) -> None:
    """The published form: exact values, float32 coefficients over ranks, then bins of a float16 scale and signed integers."""
    bins = "[{element_bits: 4, num_elements: 2, scale_dtype: float16}, {element_bits: 1, num_elements: 1, scale_dtype: float16}]"
    options = settings(
        tmp_path,
        k=6,
        exact_k=2,
        exact_dtype="bfloat16",
        polynomial_terms="\n- 0\n- 1\n- sqrt",
        residual_bins=bins,
        normalize_t="false",
    )
    form = read_compression(options["config"])
    exact = (np.array([-0.5, -1.5], "<f4").view("<u4") >> 16).astype("<u2")
    packed = [
        *exact.tobytes(),
        *floats([-2.0, -0.5, -0.25]),
        *floats([0.125], "<f2"),
        *pack([8 + 3, 8 - 2], 4),
        *floats([0.0625], "<f2"),
        *pack([1], 1),
    ]
    assert form.value_bytes == len(packed)
    found = form.values(np.array([packed], np.uint8), "x")
    curve = [-2.0 - 0.5 * rank - 0.25 * math.sqrt(rank) for rank in range(4)]
    expected = [-0.5, -1.5, curve[0] + 0.375, curve[1] - 0.25, curve[2] + 0.0625, curve[3]]
    np.testing.assert_allclose(found, [expected], rtol=1e-6)


def test_differences_are_summed(tmp_path: Path) -> None:
    form = read_compression(settings(tmp_path, k=3, exact_k=3, delta_encoding="true")["config"])
    found: NDArray[np.float64] = form.values(np.array([floats([-0.5, -1.0, -0.25])], np.uint8), "x")
    np.testing.assert_allclose(found, [[-0.5, -1.5, -1.75]])
    assert Compression(d=131_072, k=64, exact_k=1).index_bytes == 64 * 17 // 8


def test_a_tokenizer_gives_the_text(run_import: Import, tmp_path: Path) -> None:
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text('{"model": {"type": "BPE", "vocab": {"H": 0, "i": 1}}, "decoder": {"type": "ByteLevel"}}')
    row = {"input_ids": [0, 1], "compressed_logprobs": [floats([-0.5, -1.5])], "bytepacked_indices": [pack([1, 0], 17)]}
    (found,) = run_import("distillkit", write(tmp_path / "x", [row]), **settings(tmp_path), tokenizer=str(tokenizer))
    assert record(found).response == "Hi"


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"compressed_logprobs": [floats([-0.5])]}, "compressed_logprobs", "wrong-value"),
        ({"compressed_logprobs": []}, "compressed_logprobs", "wrong-value"),
        ({"compressed_logprobs": [floats([-0.5, math.nan])]}, "compressed_logprobs", "wrong-value"),
        ({"compressed_logprobs": None}, "compressed_logprobs", "wrong-type"),
        ({"compressed_logprobs": [None]}, "compressed_logprobs", "wrong-value"),
        ({"bytepacked_indices": [[1, 2, 3]]}, "bytepacked_indices", "wrong-value"),
        ({"input_ids": [1, 2**40]}, "input_ids", "wrong-value"),
        ({"input_ids": [1, None]}, "input_ids", "wrong-value"),
        ({"input_ids": None}, "input_ids", "wrong-type"),
        ({"input_ids": [1, 2, 3]}, "compressed_logprobs", "wrong-value"),
    ],
)
def test_rows_of_another_form_are_rejected(
    run_import: Import, tmp_path: Path, change: dict[str, Any], field: str, reason: str
) -> None:
    row = {"input_ids": [1, 2], "compressed_logprobs": [floats([-0.5, -1.5])], "bytepacked_indices": [pack([2, 1], 17)], **change}
    (rejected,) = run_import("distillkit", write(tmp_path / "x", [row]), **settings(tmp_path))
    assert reject(rejected) == (field, reason)


def test_columns_of_another_type_or_none_are_refused(run_import: Import, tmp_path: Path) -> None:
    schema = pa.schema([("input_ids", pa.string()), ("compressed_logprobs", pa.list_(pa.string())), SCHEMA.field(2)])
    row = {"input_ids": "1", "compressed_logprobs": ["x"], "bytepacked_indices": [[1]]}
    assert reject(run_import("distillkit", write(tmp_path / "x", [row], schema), **settings(tmp_path))[0]) == (
        "input_ids",
        "wrong-type",
    )
    data = write(tmp_path / "x", [{"input_ids": [1]}], pa.schema([SCHEMA.field(0)]))
    with pytest.raises(InvalidInput, match=r"expected a column compressed_logprobs, found none \(there are: input_ids\)"):
        run_import("distillkit", data, **settings(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 1, "exact_k": 2}, "field k"),
        ({"k": 0, "exact_k": 0}, "field k"),
        ({"d": 0}, "field d"),
        ({"polynomial_terms": "[log]"}, "field polynomial_terms: expected numbers, sqrt or exp, found log"),
        ({"residual_bins": "[{scale_dtype: float16, element_bits: 4, num_elements: 1}]"}, "at most 0 elements, found 1"),
        ({"residual_bins": "[{scale_dtype: float16, element_bits: 0, num_elements: 1}]"}, "bins of 1 to 32 bits"),
        ({"exact_dtype": "int8"}, "expected the settings of DistillKit's compression"),
        ({"alien": "1"}, "expected the settings of DistillKit's compression"),
        ({"k": "[unclosed"}, "expected the settings of DistillKit's compression"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_compression(settings(tmp_path, **change)["config"])


def test_the_settings_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    write(path, [{"input_ids": [1], "compressed_logprobs": [], "bytepacked_indices": []}])
    with pytest.raises(InvalidInput, match="expected the option config, found none"):
        importer("distillkit").records([Input(path)])
    with pytest.raises(NotFound, match="nothing at"):
        importer("distillkit").records([Input(path)], {"config": str(tmp_path / "absent.yaml")})
