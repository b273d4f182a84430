"""Log-probabilities of imported records: shards of their own, beside the text, once and again."""

import io
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import UNSET
from msgspec.structs import replace

from inbond.registry.importers.vocabulary import TokenTable
from inbond.registry.observing import Keeping
from inbond.registry.reading import logits_reader, open_shard
from inbond.registry.recorder import Recorder
from inbond.registry.shards.describing import check_told, codec_told
from inbond.registry.shards.logits import Level
from inbond.registry.shards.opening import reader_of
from inbond.schemas.declared import known, unknown
from inbond.schemas.errors import InvalidInput, StoreError, VerificationError
from inbond.schemas.statements import LogprobKind, Signal
from tests.registry.world import World

TOKENIZER = "sha256:" + "7" * 64
IDS = Keeping(tokenizer=TOKENIZER, vocabulary=50_000, kind=LogprobKind.RAW)
PROMPT = [151, 872, 198]


def of_ids(path: Path, rows: int, *, bare: tuple[int, ...] = ()) -> Path:
    """vLLM chat bodies with ids: each with two tokens generated and two of the prompt scored; those of `bare` without."""
    lines = []
    for row in range(rows):
        content = [
            {"token": f"token_id:{13048 + row}", "logprob": -0.1, "top_logprobs": [
                {"token": f"token_id:{13048 + row}", "logprob": -0.1}, {"token": "token_id:9", "logprob": -2.5}]},
            {"token": "token_id:0", "logprob": -0.5, "top_logprobs": [{"token": "token_id:0", "logprob": -0.5}]},
        ]  # fmt: skip
        choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": f"Hi {row}"}, "finish_reason": "stop"}
        body: dict[str, Any] = {"id": f"c{row}", "model": "m", "choices": [choice]}
        if row not in bare:
            choice |= {"logprobs": {"content": content}, "token_ids": [13048 + row, 0]}
            body |= {
                "prompt_token_ids": PROMPT,
                "prompt_logprobs": [None, {"872": {"logprob": -7.5, "rank": 900}}, {"198": {"logprob": -0.01, "rank": 1}}],
            }
        lines.append(json.dumps(body))
    path.write_text("\n".join(lines) + "\n")
    return path


def of_texts(path: Path, rows: int) -> Path:
    """Chat completions whose tokens are texts."""
    lines = []
    for row in range(rows):
        top = [
            {"token": f"t{row}", "bytes": list(f"t{row}".encode()), "logprob": -0.25},
            {"token": "é", "bytes": None, "logprob": -2.0},
        ]
        position = {"token": f"t{row}", "bytes": list(f"t{row}".encode()), "logprob": -0.25, "top_logprobs": top}
        message = {"role": "assistant", "content": f"t{row}"}
        choice = {"index": 0, "message": message, "logprobs": {"content": [position]}, "finish_reason": "stop"}
        lines.append(json.dumps({"id": f"c{row}", "model": "m", "choices": [choice]}))
    path.write_text("\n".join(lines) + "\n")
    return path


def take(world: World, format: str, file: Path, dataset: str = "new", **options: Any) -> Any:
    return world.registry.import_files(format, [file], **({"teacher": "acme/base@1", "dataset": dataset} | options))


def kinds(world: World, found: Any) -> list[tuple[str, str | None]]:
    bodies = [world.body(ref) for ref in found.shards]
    return [(body.kind.value, body.signal.value if body.kind.value == "logits" else None) for body in bodies]


def part_lines(world: World, dataset: str) -> list[Any]:
    ref = world.ref(dataset, "dataset")
    return world.registry.place.lines(world.body(ref).parts, ref)


def test_each_signal_becomes_a_shard_beside_the_text(world: World, tmp_path: Path) -> None:
    found = take(world, "vllm", of_ids(tmp_path / "a.jsonl", 5, bare=(0, 3)), keeping=IDS, max_rows=3)
    assert kinds(world, found) == [("text", None), ("logits", "generated"), ("logits", "scored")] * 2
    assert (found.records, found.written) == (5, 6)
    first, generated, scored = found.shards[:3]
    [line, second] = part_lines(world, "new")
    assert (line["shard"], line["logits"], line["count"], second["count"]) == (first, [generated, scored], 3, 2)
    body = world.body(generated)
    assert (body.text_shard, body.rows, body.counts.empty) == (first, 3, 1)
    assert (body.codec.tokenizer, body.codec.vocabulary, body.codec.logprob_kind) == (TOKENIZER, 50_000, LogprobKind.RAW)
    assert body.codec.parameters["positions"] == "sequence"
    assert body.codec.temperature.known == "1"
    assert body.codec.truncation.known.parameters == {"most": 2}
    assert [(model.role.value, model.rows.known) for model in body.models] == [("logits", 2)]
    with open_shard(world.registry.place, first) as text, logits_reader(world.registry.place, generated, body) as reader:
        assert [record.input_ids for record in text.records()] == [None, (*PROMPT, 13049, 0), (*PROMPT, 13050, 0)]
        none, one, _ = reader.distributions()
        assert none is None
        assert one is not None
        assert (one.first_pos, one.counts.tolist(), one.ids.tolist()) == (3, [2, 1], [13049, 9, 0])
        reader.check_against(text)
    checked = world.registry.verify()
    assert (checked.verdict, checked.problems) == ("proved", [])
    again = take(world, "vllm", tmp_path / "a.jsonl", keeping=IDS, max_rows=3)
    assert (again.unchanged, again.shards) == (True, found.shards)


def test_ids_without_their_tokenizer_are_refused_and_leave_nothing(world: World, tmp_path: Path) -> None:
    before = world.size()
    for keeping, text in (
        (Keeping(), "expected the tokenizer that they are of, found none"),
        (Keeping(tokenizer=TOKENIZER), "size of its vocabulary"),
        (Keeping(tokenizer="sha256:77"), "found 'sha256:77'"),
        (Keeping(tokenizer=TOKENIZER, vocabulary=13_000), "token ids from 0 to 12999, found 13048"),
    ):
        with pytest.raises(InvalidInput, match=text):
            take(world, "vllm", of_ids(tmp_path / "a.jsonl", 2), keeping=keeping)
    assert world.size() == before
    assert not any((world.registry.store.folder / "scratch").iterdir())


def test_they_can_be_left_out(world: World, tmp_path: Path) -> None:
    found = take(world, "vllm", of_ids(tmp_path / "a.jsonl", 2), keeping=Keeping(level=None))
    assert kinds(world, found) == [("text", None)]
    assert "logits" not in part_lines(world, "new")[0]


def test_texts_without_a_tokenizer_get_a_table_that_goes_along(world: World, tmp_path: Path) -> None:
    found = take(world, "chat-completions", of_texts(tmp_path / "a.jsonl", 5), max_rows=2)
    tables, tokens = [], []
    for ref in found.shards[1::2]:
        body = world.body(ref)
        assert body.codec.parameters["ids"] == "table"
        tables.append(TokenTable.read(world.registry.store.get(body.codec.tokenizer)).tokens)
        with logits_reader(world.registry.place, ref, body) as reader:
            for each in reader.distributions():
                assert each is not None
                tokens.append(tables[-1][int(each.input_ids[each.first_pos])])
                assert [tables[-1][number] for number in each.ids] == [tokens[-1], "é".encode()]
                assert each.logprobs.tolist() == [-0.25, -2.0]
                assert each.tail[0] == pytest.approx(1 - np.exp(-0.25) - np.exp(-2.0), abs=1e-6)
    assert tokens == [f"t{row}".encode() for row in range(5)]
    assert all(later[: len(earlier)] == earlier for earlier, later in pairwise(tables))
    with open_shard(world.registry.place, found.shards[0]) as text:
        assert [record.input_ids for record in text.records()] == [None, None]
    assert world.registry.verify().verdict == "proved"
    out = tmp_path / "bundle"
    world.registry.export_dataset("new", out)
    names = {path.name for path in (out / "objects").iterdir()}
    assert {world.body(ref).codec.tokenizer.removeprefix("sha256:") for ref in found.shards[1::2]} <= names
    assert len(list((out / "shards").iterdir())) == 6


def test_a_tokenizer_gives_texts_their_ids(world: World, tmp_path: Path) -> None:
    vocabulary = {"t0": 0, "t1": 1, "\u00c3\u00a9": 2}  # é, in the byte-level alphabet
    model = {"type": "BPE", "vocab": vocabulary, "merges": []}
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text(
        json.dumps({"model": model, "pre_tokenizer": {"type": "ByteLevel"}, "decoder": {"type": "ByteLevel"}, "added_tokens": []})
    )
    found = take(world, "chat-completions", of_texts(tmp_path / "a.jsonl", 2), keeping=Keeping(tokenizer=tokenizer))
    body = world.body(found.shards[1])
    assert (body.codec.parameters["ids"], body.codec.vocabulary) == ("derived", 3)
    with open_shard(world.registry.place, found.shards[0]) as text:
        assert [record.input_ids for record in text.records()] == [(0,), (1,)]
    with pytest.raises(InvalidInput, match=r"\.jsonl, record 3 of those it gave, generated.*found b't2', which is none"):
        take(world, "chat-completions", of_texts(tmp_path / "b.jsonl", 3), "other", keeping=Keeping(tokenizer=tokenizer))
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    with pytest.raises(InvalidInput, match=r"b\.jsonl, record 3 of those it gave"):
        world.registry.import_files(
            "chat-completions", files, teacher="acme/two", dataset="two", create=True, keeping=Keeping(tokenizer=tokenizer)
        )


def test_compact_is_said_and_kept_to_its_bound(world: World, tmp_path: Path) -> None:
    found = take(world, "chat-completions", of_texts(tmp_path / "a.jsonl", 2), keeping=Keeping(level=Level.COMPACT))
    body = world.body(found.shards[1])
    assert (body.codec.parameters["level"], body.codec.parameters["bound"]) == ("compact", "0.03125")
    with logits_reader(world.registry.place, found.shards[1], body) as reader:
        assert np.abs(reader.ragged().logprobs - np.array([-0.25, -2.0] * 2)).max() <= 0.031251


def test_an_import_cut_short_between_text_and_log_probabilities_goes_on(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, record_all = of_ids(tmp_path / "a.jsonl", 4), Recorder.record_all

    def cut(self: Recorder, said: Any) -> Any:
        record_all(self, said[:1])
        raise StoreError("the connection broke")

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "record_all", cut)
        with pytest.raises(StoreError):
            take(world, "vllm", file, keeping=IDS, max_rows=2)
    found = take(world, "vllm", file, keeping=IDS, max_rows=2)
    assert kinds(world, found) == [("text", None), ("logits", "generated"), ("logits", "scored")] * 2
    assert found.written == 5
    assert [line["logits"] for line in part_lines(world, "new")] == [found.shards[1:3], found.shards[4:6]]
    assert world.registry.verify().verdict == "proved"


def test_what_does_not_belong_together_is_refused(world: World, tmp_path: Path) -> None:
    """A signed statement over a logits shard of another text: admission cannot see it, verification does."""
    one = take(world, "vllm", of_ids(tmp_path / "a.jsonl", 2), "one", keeping=IDS)
    lines = of_ids(tmp_path / "b.jsonl", 3).read_text().splitlines()
    (tmp_path / "b.jsonl").write_text("\n".join(lines[1:]) + "\n")
    two = take(world, "vllm", tmp_path / "b.jsonl", "two", keeping=IDS)
    body = world.changed(two.shards[1], text_shard=one.shards[0], ordinal=9)
    wrong = world.put("shard", body, "producer")
    checked = world.registry.verify(wrong)
    assert checked.verdict == "differs"
    assert "row 0: expected record" in checked.problems[0]


def test_a_file_says_what_answered_as_its_statement_does(world: World, tmp_path: Path) -> None:
    facts = {"generator": {"tool": "vllm", "system_fingerprint": "vllm-0.11.0-1a2b3c4d"}}
    ref = take(world, "vllm", of_ids(tmp_path / "a.jsonl", 3), keeping=IDS, facts=facts).shards[1]
    body, data = world.body(ref), world.registry.store.get(world.body(ref).file)
    with logits_reader(world.registry.place, ref, body) as reader:
        assert reader.pointers[b"inbond.engine_fingerprint"] == b'{"known":"vllm-0.11.0-1a2b3c4d"}'
        assert {b"inbond.codec", b"inbond.signal", b"inbond.origin"} < reader.pointers.keys()
    generator = body.generator.known
    assert generator is not UNSET
    other = replace(generator, system_fingerprint=known("vllm-0.11.1-5e6f7a8b"))
    changes = (
        ({"generator": known(other)}, 'expected inbond.engine_fingerprint {"known":"vllm-0.11.1-5e6f7a8b"} in the file'),
        ({"generator": unknown()}, 'expected inbond.engine_fingerprint {"unknown":"not_declared"} in the file'),
        ({"signal": Signal.SCORED}, "expected inbond.signal scored in the file's metadata, as the statement says, found gen"),
        ({"codec": replace(body.codec, logprob_kind=LogprobKind.PROCESSED)}, "expected inbond.codec "),
        ({"codec": replace(body.codec, temperature=unknown())}, "expected inbond.codec "),
    )
    reader_of(io.BytesIO(data), body, ref).close()
    for change, text in changes:
        with pytest.raises(VerificationError, match=f"{ref}: {re.escape(text)}"):
            reader_of(io.BytesIO(data), replace(body, **change), ref)
    pointers = {b"inbond.codec": codec_told(body.codec).encode(), b"inbond.engine_fingerprint": b'{"unknown":"not_declared"}'}
    check_told(pointers, body, ref)  # known by now
    for wrong in ({b"inbond.engine_fingerprint": b"vllm"}, {b"inbond.codec": b"{}"}):
        with pytest.raises(VerificationError, match="as the statement says, found"):
            check_told(pointers | wrong, body, ref)
    with pytest.raises(VerificationError, match="as the statement says, found none"):
        check_told({}, body, ref)
