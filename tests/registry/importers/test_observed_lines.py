from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inbond.registry.importers import Input, Rejected, importer
from inbond.registry.importers.hf_generate import from_generate
from inbond.registry.importers.observed import Observed, TokenLogprobs
from inbond.registry.importers.observed_lines import write_observed
from inbond.registry.shards.distributions import Selection
from inbond.registry.shards.records import Message, Record
from inbond.schemas.errors import InvalidInput
from tests.registry.importers.seen import reject

Import = Callable[..., list[Record | Observed | Rejected]]


def again(path: Path) -> list[Any]:
    return list(importer("observed").records([Input(path)]))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    logits = [np.array([[0.0, 3.0, 1.0]]), np.array([[4.0, 0.0, -np.inf]])]
    [generated] = from_generate(np.array([[2, 1, 0]]), logits, prompt_length=1, texts=["ab"], k=2)
    texts = TokenLogprobs(tokens=[b"\xff", b"a"], chosen=[-0.5, None], counts=[1, 0], alternatives=[b"\xff"], logprobs=[-0.5])
    draws = TokenLogprobs(
        tokens=[1], chosen=[None], counts=[2], alternatives=[1, 4], logprobs=[-1.0, -2.0], draws=[3, 2], selection=Selection.DRAWS
    )
    plain = Record(
        prompt=(Message("user", "Q"),), own_turns=(), response="A", created_at=5, input_ids=(1, 2), refs=("shard:1:2",)
    )
    given = [generated, Observed(plain, texts, draws), plain]
    write_observed(tmp_path / "a.jsonl", given)
    found = again(tmp_path / "a.jsonl")
    assert (found[0].record, found[0].generated.logprobs) == (generated.record, generated.generated.logprobs)  # type: ignore[union-attr]
    assert (found[1].generated.tokens, found[1].scored.draws, found[2]) == ([b"\xff", b"a"], [3, 2], plain)
    write_observed(tmp_path / "again.jsonl", found)
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "a.jsonl").read_bytes()
    with pytest.raises(InvalidInput, match="exists"):
        write_observed(tmp_path / "a.jsonl", given)
    with pytest.raises(InvalidInput, match="at least one record"):
        write_observed(tmp_path / "b.jsonl", [])
    assert not (tmp_path / "b.jsonl").exists()


RECORD = {"prompt": None, "own_turns": [], "response": "Hi"}
SAID = {"tokens": [7, 8], "chosen": [-0.1, None], "counts": [1, 0], "alternatives": [7], "logprobs": [-0.1]}

WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "no record": ({"generated": SAID}, "record", "missing-field"),
    "another field": ({"record": RECORD, "judged": SAID}, "judged", "wrong-value"),
    "a record without a response": ({"record": {"prompt": None, "own_turns": []}}, "record.response", "missing-field"),
    "fewer log-probabilities than tokens": (
        {"record": RECORD, "generated": SAID | {"chosen": [-0.1]}},
        "generated.chosen",
        "wrong-value",
    ),
    "fewer counts than tokens": ({"record": RECORD, "generated": SAID | {"counts": [1]}}, "generated.counts", "wrong-value"),
    "more log-probabilities than entries": (
        {"record": RECORD, "generated": SAID | {"logprobs": [-0.1, -0.2]}},
        "generated.logprobs",
        "wrong-value",
    ),
    "counts of other entries": ({"record": RECORD, "generated": SAID | {"counts": [1, 1]}}, "generated.entries", "wrong-value"),
    "fewer ranks": ({"record": RECORD, "scored": SAID | {"ranks": [1]}}, "scored.ranks", "wrong-value"),
    "fewer draws": ({"record": RECORD, "scored": SAID | {"draws": []}}, "scored.draws", "wrong-value"),
    "an id below zero": ({"record": RECORD, "generated": SAID | {"tokens": [-7, 8]}}, "generated", "wrong-value"),
    "text for a number": ({"record": RECORD, "generated": SAID | {"logprobs": ["a"]}}, "generated.logprobs[0]", "wrong-type"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_it_did_not_write_is_refused(run_import: Import, name: str) -> None:
    line, field, reason = WRONG[name]
    assert reject(run_import("observed", [line])[0]) == (field, reason)
