"""Log-probabilities leave in layouts of others, and come back equal through a reader of those layouts."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from msgspec.structs import replace
from numpy.typing import NDArray

from inbond.registry.exporters import Source, exporter
from inbond.registry.exporters.base import LogitsShard
from inbond.registry.observing import Keeping
from inbond.registry.reading import logits_reader
from inbond.registry.versions import parts_of
from inbond.schemas.errors import InvalidInput, VerificationError
from inbond.schemas.statements import Signal
from tests.registry.exporters.conftest import Export
from tests.registry.scored import ROWS, VOCABULARY, Scored
from tests.registry.test_delivering import outside
from tests.registry.world import World


def read_distillkit(folder: Path) -> list[tuple[list[int], NDArray[np.int64], NDArray[np.floating[Any]], list[int] | None]]:
    """(input_ids, ids [n, k], log-probabilities [n, k], labels) of each row, as DistillKit's layout says."""
    config = yaml.safe_load((folder / "data" / "compression_config.yaml").read_text())
    assert (config["exact_k"], config["polynomial_terms"], config["residual_bins"]) == (config["k"], None, [])
    assert (config["delta_encoding"], config["error_diffusion"], config["d"]) == (False, False, VOCABULARY)
    k, bits = config["k"], int(np.ceil(np.log2(np.float32(config["d"]))))
    found = []
    for path in sorted((folder / "data").glob("*.parquet")):
        table = pq.read_table(path)
        assert table.column_names[:3] == ["input_ids", "compressed_logprobs", "bytepacked_indices"]
        assert [str(field.type) for field in table.schema][:2] == ["list<element: uint64>", "list<element: list<element: uint8>>"]
        for row in table.to_pylist():
            values = np.array(row["compressed_logprobs"], np.uint8).view(
                {"float32": "<f4", "float16": "<f2"}[config["exact_dtype"]]
            )
            stream = np.unpackbits(np.array(row["bytepacked_indices"], np.uint8), axis=1)[:, : k * bits]
            ids = (stream.reshape(-1, k, bits) * (1 << np.arange(bits - 1, -1, -1))).sum(axis=2)
            found.append((row["input_ids"], ids, values, row.get("labels")))
    return found


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 0.0), ("float16", 2**-11)])
def test_a_distillkit_reader_gets_ids_and_logprobabilities_back(
    shared_world: World, exported: Export, dtype: str, tolerance: float
) -> None:
    scored = Scored(shared_world, f"kit-{dtype}")
    folder = exported(scored.dataset(scored.logits()), "distillkit", dtype=dtype)
    [file] = json.loads((folder / "lineage.json").read_text())["files"]
    kept = [at for at in range(ROWS) if at % 7 != 3 and at != 5]
    assert [row for first, last in file["rows"] for row in range(first, last)] == kept
    assert file["left_out"] == {"no log-probabilities": 3, "a single token": 1}
    for at, (tokens, ids, values, labels) in zip(kept, read_distillkit(folder), strict=True):
        found, ends = scored.found[at], np.cumsum(scored.found[at].counts)  # type: ignore[union-attr]
        assert found is not None
        assert labels is not None
        assert tokens == scored.tokens[at].tolist()
        assert len(ids) == len(values) == len(tokens) - 1
        for element in range(len(tokens) - 1):
            position = element + 1 - found.first_pos  # element s is about token s + 1
            count = int(found.counts[position]) if position >= 0 else 0
            entries = slice(int(ends[position]) - count, int(ends[position])) if count else slice(0, 0)
            assert ids[element, :count].tolist() == found.ids[entries].tolist()
            assert np.allclose(values[element, :count], found.logprobs[entries], rtol=tolerance, atol=0)
            assert (values[element, count:] == -10_000).all()
            assert len(set(ids[element].tolist())) == ids.shape[1]  # a pad never stands for an entry
            assert labels[element] == (tokens[element] if count else -100)


def test_where_every_position_has_a_signal_the_layout_has_its_three_columns(shared_world: World, exported: Export) -> None:
    scored = Scored(shared_world, "kit-whole", whole=True)
    folder = exported(scored.dataset(scored.logits()), "distillkit")
    [path] = (folder / "data").glob("*.parquet")
    assert pq.read_table(path).column_names == ["input_ids", "compressed_logprobs", "bytepacked_indices"]
    code, lines = outside(shared_world, folder, "--without-shards")
    assert code == 0, lines


def test_plain_columns_say_all_there_is(shared_world: World, exported: Export) -> None:
    scored = Scored(shared_world, "plain")
    logits = scored.logits()
    folder = exported(scored.dataset(logits), "parquet")
    [path] = (folder / "data").glob("*.parquet")
    for row, found in zip(pq.read_table(path).to_pylist(), scored.found, strict=True):
        if found is None:
            assert [row[name] for name in ("first_pos", "token_ids", "logprobs", "tail", "chosen", "rank", "draws")] == [None] * 7
            continue
        assert (row["first_pos"], [len(each) for each in row["token_ids"]]) == (found.first_pos, found.counts.tolist())
        assert [each for position in row["token_ids"] for each in position] == found.ids.tolist()
        assert np.array_equal(np.float32([each for position in row["logprobs"] for each in position]), found.logprobs)
        for name in ("tail", "chosen", "rank"):
            assert np.array_equal(np.array(row[name], getattr(found, name).dtype), getattr(found, name)), name
    [file] = json.loads((folder / "lineage.json").read_text())["files"]
    assert file["logits"] == [logits]


def test_of_two_signals_one_is_named(shared_world: World, exported: Export) -> None:
    scored = Scored(shared_world, "both")
    scored.dataset(scored.logits(), scored.logits(Signal.GENERATED))
    for format in ("parquet", "distillkit"):
        with pytest.raises(InvalidInput, match="expected one shard of log-probabilities") as refused:
            exported("both", format)
        assert refused.value.hint == "--option signal=generated or --option signal=scored"
        assert exported("both", format, signal="generated").is_dir()
    [path] = (exported("both", "parquet", signal="none") / "data").glob("*.parquet")
    assert "token_ids" not in pq.read_table(path).column_names


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        ({"positions": "response"}, "expected log-probabilities of positions sequence, found response"),
        ({"ids": "table"}, "expected log-probabilities of ids observed or derived, found table"),
    ],
)
def test_what_the_layout_cannot_say_is_refused_before_it_is_on_record(
    make_world: Callable[[str], World], tmp_path: Path, codec: dict[str, str], text: str
) -> None:
    world = make_world("refusing")
    scored = Scored(
        world, "other", **codec, **({"tokenizer": "sha256:" + hashlib.sha256(b"table").hexdigest()} if "ids" in codec else {})
    )
    world.registry.store.put_bytes(b"table")
    scored.dataset(scored.logits())
    size = world.size()
    with pytest.raises(InvalidInput, match=text):
        world.registry.export_dataset("other", tmp_path / "out", format="distillkit")
    assert (world.size(), (tmp_path / "out").exists()) == (size, False)


def test_logprobabilities_of_other_tokens_are_refused(shared_world: World, exported: Export) -> None:
    scored = Scored(shared_world, "misaligned")
    others = [tokens if at != 9 else tokens[::-1].copy() for at, tokens in enumerate(scored.tokens)]
    scored.dataset(scored.logits(tokens=others))
    for format in ("distillkit", "parquet"):
        with pytest.raises(VerificationError, match="row 9: expected log-probabilities of its"):
            exported("misaligned", format)


def test_they_follow_the_rows_of_their_text(shared_world: World, exported: Export) -> None:
    scored = Scored(shared_world, "followed")
    scored.dataset(logits := scored.logits())
    shared_world.registry.derive("followed", "followed-some", where="response IN ('2', '3', '11', '19')")
    [path] = (exported("followed-some", "parquet") / "data").glob("*.parquet")
    rows = pq.read_table(path).to_pylist()
    assert [row["response"] for row in rows] == ["2", "3", "11", "19"]
    assert [None if row["first_pos"] is None else row["first_pos"] for row in rows] == [
        None if scored.found[at] is None else scored.found[at].first_pos  # type: ignore[union-attr]
        for at in (2, 3, 11, 19)
    ]
    lines = shared_world.registry.place.lines(
        shared_world.body(shared_world.ref("followed-some")).parts, shared_world.ref("followed-some")
    )
    assert [line["logits"] for line in lines] == [[logits]]


def test_drawn_entries_and_two_vocabularies_have_no_place_in_the_layout(shared_world: World) -> None:
    scored = Scored(shared_world, "begun")
    body = shared_world.body(scored.logits())

    def source(shard: str, **codec: Any) -> Source:
        changed = replace(body, codec=replace(body.codec, **codec))
        return Source(shard, shared_world.body(scored.text), ((0, ROWS),), "train", (LogitsShard(f"{shard}-logits", changed),))

    kit, options = exporter("distillkit"), exporter("distillkit").check_options({})
    assert kit.begin([source("a"), source("b")], options).surveys
    with pytest.raises(InvalidInput, match="expected log-probabilities of selection topk or nucleus, found draws in a-logits"):
        kit.begin([source("a", parameters=body.codec.parameters | {"selection": "draws"})], options)
    with pytest.raises(InvalidInput, match=r"expected one tokenizer and vocabulary, found sha256:1.* of 130, sha256:1.* of 131"):
        kit.begin([source("a"), source("b", vocabulary=131)], options)


def test_our_own_importer_reads_the_layout_back(shared_world: World, exported: Export) -> None:
    scored = Scored(shared_world, "kit-back")
    data = exported(scored.dataset(scored.logits()), "distillkit") / "data"
    [path] = data.glob("*.parquet")
    result = shared_world.registry.import_files(
        "distillkit",
        [path],
        teacher="acme/base@1",
        dataset="kit-imported",
        options={"config": str(data / "compression_config.yaml")},
        keeping=Keeping(tokenizer="sha256:" + "1" * 64, vocabulary=VOCABULARY),
    )
    [part] = parts_of(shared_world.registry, result.dataset)
    [ref] = part.logits or ()
    kept = [found for at, found in enumerate(scored.found) if found is not None and at != 5]
    with logits_reader(shared_world.registry.place, ref, shared_world.body(ref)) as reader:
        for found, back in zip(kept, reader.distributions(), strict=True):
            assert back is not None
            shift = found.first_pos - back.first_pos  # the layout begins at token 1
            assert back.counts[: max(shift, 0)].sum() == 0
            first = int(found.counts[: max(-shift, 0)].sum())
            assert back.counts[max(shift, 0) :].tolist() == found.counts[max(-shift, 0) :].tolist()
            assert back.ids.tolist() == found.ids[first:].tolist()
            assert np.array_equal(back.logprobs, found.logprobs[first:])
