"""Derived versions: rows of the same shards, by conditions and by lot, on record with how they were chosen."""

import json
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from msgspec.structs import replace

from inbond.registry import tables as t
from inbond.registry.derivations import MEDIA, Derivation, Sample, derivation_of
from inbond.registry.fetching import Objects
from inbond.registry.reading import open_shard
from inbond.registry.shards.reader import ShardReader
from inbond.schemas.errors import Conflict, InvalidInput, NotFound, VerificationError
from inbond.schemas.statements import Basis, Evidence
from tests.registry.exporters.conftest import import_lines
from tests.registry.test_delivering import outside
from tests.registry.world import CHAT_ROWS, World


def table_of(world: World, shard: str, known: dict[str, pa.Table] = {}) -> pa.Table:  # noqa: B006  # shards never change
    """Responses and record ids of a shard."""
    if shard not in known:
        with open_shard(world.registry.place, shard) as reader:
            known[shard] = reader.read(["response", "record_id"])
    return known[shard]


def answers(world: World, dataset: str, split: str | None = None) -> list[str]:
    """The responses of a version, in order."""
    found: list[str] = []
    ref = world.ref(dataset, "dataset")
    for row in world.rows(t.dataset_parts)["dataset_parts"]:
        if row["dataset"] == ref and split in (None, row["split"]):
            found += table_of(world, row["shard"]).column("response").to_pylist()[row["first"] : row["last"]]
    return found


def ids_of(world: World, dataset: str) -> dict[str, str]:
    """The record id of each response of a version of whole shards."""
    tables = pa.concat_tables(table_of(world, shard) for shard, _, _ in world.parts(dataset))
    return dict(zip(tables.column("response").to_pylist(), tables.column("record_id").to_pylist(), strict=True))


def lot(domain: str, seed: int, record_id: str) -> Fraction:
    """As the module's page says, by other means."""
    drawn = sha256(f"{domain}\n{seed}\n".encode() + bytes.fromhex(record_id)).digest()
    return Fraction(int.from_bytes(drawn[:8], "big"), 1 << 64)


def config_of(world: World, dataset: str) -> Any:
    """What is on record about how a version was made."""
    header = world.registry.place.statement(world.ref(dataset, "dataset")).header
    [evidence] = header.evidence
    assert (header.basis, evidence.media, evidence.stored) == (Basis.DERIVED, MEDIA, True)
    return json.loads(world.registry.place.object(evidence.digest, world.ref(dataset, "dataset")))


def test_a_condition_keeps_what_it_is_true_of(shared_world: World) -> None:
    derive = shared_world.registry.derive
    done = derive("chat", "sevens", where="response LIKE '%7' OR response = 'chat answer 12'")
    assert answers(shared_world, "sevens") == [f"chat answer {at}" for at in (7, 12, 17, 27)]
    assert (done.seen, done.rows, done.splits, done.version.is_new) == (CHAT_ROWS, 4, {"train": 4}, True)
    assert {part[0] for part in shared_world.parts("sevens")} == {part[0] for part in shared_world.parts("chat")}
    said = config_of(shared_world, "sevens")
    assert (said["source"], said["where"]) == (shared_world.ref("chat"), "response LIKE '%7' OR response = 'chat answer 12'")
    assert said["engine"].startswith("polars ")
    assert shared_world.body(shared_world.ref("sevens")).counts.rows == 4
    derive("chat", "not-known", where="finish_reason = 'stop' OR LENGTH(response) < 14")  # null is not true
    assert answers(shared_world, "not-known") == [f"chat answer {at}" for at in range(10)]
    derive("chat", "nested", where="ARRAY_LENGTH(prompt) = 1 AND prompt_tokens IS NULL AND kind IN ('completion')")
    assert len(answers(shared_world, "nested")) == CHAT_ROWS


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        ("nope > 1", "expected columns among record_id, .*, found: nope"),
        ("salt = 'x'", "expected columns among record_id, .*, found: salt"),
        ("MAX(response) = response", "expected a condition on one record at a time"),
        ("COUNT(*) > sample", "expected a condition on one record at a time"),
        ("ROW_NUMBER() OVER (ORDER BY response) < 5", "expected a condition on one record at a time"),
        ("UNNEST(refs) = 'a'", "expected a condition on one record at a time"),
        ("response", "expected a condition, true or false for each record, found: one of String"),
        ("sample LIKE 'a'", "expected a condition that fits the columns' types"),
        ("1 = 1", "expected a condition on at least one column"),
        ("response = (", "expected a condition in SQL"),
        ("__import__('os').system('true')", "expected a condition in SQL"),
        ("response IN (SELECT response FROM self)", "expected a condition in SQL"),
        ("response = 'nobody said this'", f"expected rows that meet the condition, found none among {CHAT_ROWS}"),
    ],
)
def test_what_is_no_condition_on_a_record_is_refused(shared_world: World, condition: str, text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        shared_world.registry.derive("chat", "never", where=condition)
    with pytest.raises(NotFound):
        shared_world.ref("never", "dataset")


def test_lots_follow_from_record_and_seed(shared_world: World) -> None:
    derive, ids = shared_world.registry.derive, ids_of(shared_world, "chat")
    for name, seed in (("some-0", 0), ("some-9", 9)):
        derive("chat", name, sample="0.4", seed=seed)
        wanted = [text for text, record in ids.items() if lot("inbond-sample-v1", seed, record) < Fraction(2, 5)]
        assert answers(shared_world, name) == wanted
    derive("chat", "few", sample=7, seed=3)
    lowest = sorted(ids, key=lambda text: lot("inbond-sample-v1", 3, ids[text]))[:7]
    assert answers(shared_world, "few") == [text for text in ids if text in lowest]
    assert config_of(shared_world, "few")["sample"] == {"rows": 7, "seed": 3}
    assert config_of(shared_world, "some-9")["sample"] == {"fraction": "0.4", "seed": 9}
    derive("chat", "all", sample="100%")
    derive("chat", "more", sample="1000")
    assert answers(shared_world, "all") == answers(shared_world, "more") == list(ids)


def test_a_record_keeps_its_split_in_whatever_version_and_shard(shared_world: World, tmp_path: Path) -> None:
    derive, ids, fractions = (
        shared_world.registry.derive,
        ids_of(shared_world, "chat"),
        {"train": "0.7", "test": "20%", "dev": "0.1"},
    )
    derive("chat", "parted", split=fractions, seed=5)
    ends = {"train": Fraction(7, 10), "test": Fraction(9, 10), "dev": Fraction(1)}
    for split in fractions:
        wanted = [
            text
            for text, record in ids.items()
            if split == next(s for s, end in ends.items() if lot("inbond-split-v1", 5, record) < end)
        ]
        assert answers(shared_world, "parted", split) == wanted
    again = [
        {"messages": [{"role": "user", "content": f"chat {i}?"}, {"role": "assistant", "content": f"chat answer {i}"}]}
        for i in range(40)
    ]
    import_lines(shared_world, tmp_path, "other-shards", again[::-1])
    derive("other-shards", "other-parted", split=fractions, seed=5)
    for split in fractions:
        assert set(answers(shared_world, "parted", split)) <= set(answers(shared_world, "other-parted", split))


def test_of_doubles_the_first_stays(shared_world: World, tmp_path: Path) -> None:
    turns = [[{"role": "user", "content": f"{at}?"}, {"role": "assistant", "content": f"{at}"}] for at in (1, 2, 1, 3, 2, 1)]
    import_lines(shared_world, tmp_path, "twice", [{"messages": each} for each in turns])
    import_lines(shared_world, tmp_path, "thrice", [{"messages": each} for each in turns[3:]])
    parts = [*shared_world.parts("twice"), *shared_world.parts("thrice")]
    shared_world.dataset("doubled", parts)
    shared_world.registry.derive("doubled", "single", dedup=True)
    assert shared_world.parts("single") == [(parts[0][0], 0, 2), (parts[0][0], 3, 4)]
    shared_world.registry.derive("doubled", "single-two", dedup=True, sample=2)
    assert len(answers(shared_world, "single-two")) == 2


def test_the_same_again_changes_nothing(world: World) -> None:
    first = world.registry.derive("chat", "half", sample="50%", split={"train": "0.5", "test": "0.5"})
    size = world.size()
    again = world.registry.derive("chat", "half", sample=Fraction(1, 2), split={"train": "50%", "test": "50%"})
    assert (again.version.ref, again.version.is_new, world.size()) == (first.version.ref, False, size)
    with pytest.raises(Conflict, match="half@1 is on record with other rows") as refused:
        world.registry.derive("chat", "half", sample=3)
    assert refused.value.hint == "half@2 makes a new version of it"
    second = world.registry.derive("chat", "half@2", sample=3)
    assert world.body(second.version.ref).previous == first.version.ref
    assert world.registry.derive("chat", "half@2", sample=3).version.is_new is False
    world.check()
    assert world.registry.verify().verdict == "proved"
    assert sum(hop.dst == world.ref("acme/base@1") for hop in world.registry.lineage("half@2").hops) == 1


def test_how_it_was_made_goes_along_with_it(world: World, tmp_path: Path) -> None:
    ref = world.registry.derive("chat", "some", sample=3).version.ref
    assert derivation_of(world.registry, ref) == Derivation(source=world.ref("chat"), sample=Sample(rows=3, seed=0))
    assert derivation_of(world.registry, world.ref("chat")) is None
    made = world.registry.place.statement(ref)
    [evidence] = made.header.evidence
    done = world.registry.export_dataset("some", tmp_path / "out")
    assert (tmp_path / "out" / "objects" / evidence.digest.removeprefix("sha256:")).is_file()
    code, lines = outside(world, done.folder)
    assert code == 0, lines
    with world.registry.reading() as reader:
        assert Objects(world.registry.store).is_for_all(reader.connection, evidence.digest, made)
    missing = Evidence(media=MEDIA, digest="sha256:" + "7" * 64, stored=True)
    body = world.changed(ref, version="2")
    world.refuse(world.signed("dataset", body, "producer", evidence=(missing,)), InvalidInput, "expected object sha256:7777")
    world.put("dataset", body, "producer", evidence=(replace(missing, stored=False),))


def test_withdrawn_rows_are_left_out(world: World) -> None:
    shard = world.parts("chat")[0][0]
    world.registry.recall(shard, rows=[(2, 5)], reason="not ours", category="quality")
    done = world.registry.derive("chat", "rest", where="response IS NOT NULL")
    assert done.seen == CHAT_ROWS - 3
    assert [part for part in world.parts("rest") if part[0] == shard] == [(shard, 0, 2), (shard, 5, 12)]


def test_no_more_is_read_than_is_asked_for_and_nothing_unverified(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[str, ...]] = []
    whole = ShardReader.batches
    monkeypatch.setattr(
        ShardReader, "batches", lambda self, columns, rows: read.append(tuple(columns)) or whole(self, columns, rows)
    )
    world.registry.derive("chat", "a", where="finish_reason IS NULL")
    world.registry.derive("chat", "b", where="response > 'a'", sample=3)
    assert set(read) == {("finish_reason",), ("record_id", "response")}
    path = world.registry.store.path(world.body(world.parts("chat")[1][0]).file.removeprefix("sha256:"))
    data = bytearray(path.read_bytes())
    data[: len(data) - 100] = bytes(byte ^ 1 for byte in data[: len(data) - 100])
    path.chmod(0o600)
    path.write_bytes(data)
    with pytest.raises(VerificationError, match="expected leaf hash"):
        world.registry.derive("chat", "c", sample=3)


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ({}, "expected something to do"),
        ({"sample": 0}, "expected at least one row, found 0"),
        ({"sample": "1.5"}, r"expected a fraction above 0 and up to 1, such as 0.1 or 10%, found '1.5'"),
        ({"sample": "many"}, "expected a fraction above 0"),
        ({"sample": Fraction(1, 3)}, "expected a fraction that is a decimal number"),
        ({"split": {"train": "0.5", "test": "0.4"}}, "expected fractions that sum to 1, found 0.9"),
        ({"split": {"train": "0.9,test=0.1"}}, "split train: expected a fraction"),
        ({"split": {"not a name": "1"}}, "expected names of letters, .*, found 'not a name'"),
    ],
)
def test_steps_that_cannot_be_taken_are_refused(shared_world: World, steps: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        shared_world.registry.derive("chat", "nothing", **steps)
