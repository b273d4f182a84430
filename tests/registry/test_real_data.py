"""Real teachers' outputs, whole files: the counts are those of the files, and everything is proved."""

import json
from pathlib import Path

import numpy as np
import pytest

from inbond.registry.importers.vocabulary import TokenTable
from inbond.registry.reading import logits_reader, open_shard
from inbond.registry.registry import Registry

OUTPUTS = "teacher-outputs"


def test_the_shared_files_are_imported_whole(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "state"))
    with Registry.init(tmp_path / "registry", "example.org/real", "lab") as registry:
        expected: dict[str, int] = {}
        for file in sorted((shared_data / OUTPUTS).glob("*.json")):
            records = json.loads(file.read_bytes())
            name = file.stem.lower()
            found = registry.import_files("alpaca-eval", [file], teacher=f"makers/{name}@1", dataset=name, create=True)
            assert (found.records, found.empty) == (len(records), sum(not item["output"] for item in records)), file.name
            assert len(found.not_known) >= 20
            with open_shard(registry.place, found.shards[0]) as shard:
                assert [record.response for record in shard.records([range(0, 5)])] == [item["output"] for item in records[:5]]
            expected[found.name] = found.records
        assert (len(expected), sum(expected.values())) == (12, 9660)

        code = shared_data / "alpaca-format" / "code_alpaca_2k.json"
        found = registry.import_files("alpaca", [code], teacher="makers/text_davinci_003@1", dataset="code")
        assert (found.records, found.empty) == (len(json.loads(code.read_bytes())), 2)

        judged = shared_data / "chat-logprobs" / "gpt-4-1106-preview.chat-completions.jsonl"
        found = registry.import_files(
            "chat-completions", [judged], teacher="makers/gpt4_1106_preview@1", dataset="judged", options={"kind": "judgement"}
        )
        assert found.records == sum(1 for line in judged.read_bytes().splitlines() if line)
        with open_shard(registry.place, found.shards[0]) as shard:
            first = next(iter(shard.records([range(0, 1)])))
        assert (first.prompt, first.kind) == (None, "judgement")
        assert "logprobs" not in (first.extra or "")
        _, logits = found.shards
        body = registry.place.statement(logits).body
        table = TokenTable.read(registry.place.objects.get(body.codec.tokenizer))
        with logits_reader(registry.place, logits, body) as reader:
            kept = list(reader.distributions())
        for line, distributions in zip(judged.read_bytes().splitlines(), kept, strict=True):
            (position,) = json.loads(line)["choices"][0]["logprobs"]["content"]
            pairs = [(bytes(top["bytes"]), float(np.float32(top["logprob"]))) for top in position["top_logprobs"]]
            assert distributions is not None
            texts = [table.tokens[number] for number in distributions.ids]
            assert list(zip(texts, distributions.logprobs.tolist(), strict=True)) == pairs
            assert distributions.chosen.tolist() == [np.float32(position["logprob"])]

        compared = shared_data / "chat-logprobs" / "candidates.jsonl"
        layout = {"prompt": "instruction", "answers": "candidates", "response": "output", "model_column": "generator"}
        for model in ("gpt4_1106_preview", "claude-2.1"):
            found = registry.import_files(
                "columns",
                [compared],
                teacher=f"makers/{model}@1",
                dataset=f"by {model}",
                create=True,
                options={**layout, "model": model},
            )
            with open_shard(registry.place, found.shards[0]) as shard:
                answers = [record.response for record in shard.records()]
            rows = map(json.loads, compared.read_bytes().splitlines())
            assert answers == [each["output"] for row in rows for each in row["candidates"] if each["generator"] == model]

        checked = registry.verify()
        assert (checked.verdict, checked.problems, checked.unchecked) == ("proved", [], [])
        assert checked.shards == 17
