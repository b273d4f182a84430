"""Imports: once and again, interrupted, side by side, and what stops them."""

import json
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from threading import Barrier, get_ident
from typing import Any

import pytest

from inbond.registry import catalogue
from inbond.registry.importers import Rejected
from inbond.registry.importing import ImportResult
from inbond.registry.reading import open_shard
from inbond.registry.shards.records import Record
from inbond.schemas.errors import Conflict, InvalidInput, NotFound
from tests.registry.child import run_import
from tests.registry.world import World, messages

TEACHER = "acme/base@1"
LINE = b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\n'


def take(world: World, *files: Path, dataset: str = "new", **options: Any) -> Any:
    return world.registry.import_files("messages", files, **({"teacher": TEACHER, "dataset": dataset} | options))


def records(world: World, dataset: str) -> list[Record]:
    found: list[Record] = []
    for shard, first, last in world.parts(dataset):
        with open_shard(world.registry.place, shard) as reader:
            found += reader.records([range(first, last)])
    return found


def answers(world: World, dataset: str) -> list[str]:
    return [record.response for record in records(world, dataset)]


def versions(world: World, name: str) -> list[str]:
    return [row["version"] for row in world.rows()["datasets"] if row["name"] == name]


def test_the_requests_of_a_batch_are_among_the_inputs_and_may_serve_again(world: World, tmp_path: Path) -> None:
    asked = tmp_path / "requests.jsonl"
    asked.write_text("".join(
        json.dumps({"custom_id": str(n), "body": {"model": "m", "messages": [{"role": "user", "content": "?"}]}}) + "\n"
        for n in range(6)
    ))  # fmt: skip
    paths = []
    for name, numbers in (("none", range(0)), ("one", range(3)), ("two", range(3, 6))):
        paths.append(tmp_path / f"{name}.jsonl")
        bodies = [{"choices": [{"index": 0, "message": {"role": "assistant", "content": str(n)}}]} for n in numbers]
        lines = [
            {"custom_id": str(n), "response": {"status_code": 200, "body": body}} for n, body in zip(numbers, bodies, strict=True)
        ]
        paths[-1].write_text("".join(json.dumps(line) + "\n" for line in lines) or '{"custom_id": "5", "error": "late"}')
    none, one, two = paths
    options: dict[str, Any] = {"teacher": TEACHER, "dataset": "batch"}
    found = world.registry.import_files("openai-batch", [asked, none, one], max_rows=2, **options)
    digests = [f"sha256:{sha256(path.read_bytes()).hexdigest()}" for path in (asked, none, one)]
    for ref, rows in zip(found.shards, (2, 1), strict=True):
        named = world.body(ref).inputs
        lines = world.registry.store.read_lines(named.digest, named.root, named.count)
        assert [(line["digest"], line["rows"]) for line in lines] == list(zip(digests, (0, 0, rows), strict=True))
    assert (found.unanswered, found.rejected) == (2, {"failed-request": 1})
    assert sum(world.body(ref).counts.received for ref in found.shards) == 4  # of what nobody answered, none was received
    more = world.registry.import_files("openai-batch", [asked, two], append=True, jobs=2, **options)
    assert (more.name, more.records, more.unanswered) == ("batch@2", 3, 3)
    with pytest.raises(Conflict, match="holds records of the same file already"):
        world.registry.import_files("openai-batch", [asked, one], append=True, **options)
    world.check()


def test_an_import_has_the_records_of_its_files_in_order(world: World, tmp_path: Path) -> None:
    files = [messages(tmp_path / "a.jsonl", "a", 5), messages(tmp_path / "b.jsonl", "b", 4)]
    result = take(world, *files, max_rows=4)
    assert answers(world, "new") == [f"a answer {i}" for i in range(5)] + [f"b answer {i}" for i in range(4)]
    assert (result.name, result.records, result.written, result.empty, result.unchanged) == ("new@1", 9, 3, 0, False)
    assert [part[2] for part in world.parts("new")] == [4, 4, 1]
    bodies = [world.body(shard) for shard in result.shards]
    inputs = [world.registry.store.read_lines(b.inputs.digest, b.inputs.root, b.inputs.count) for b in bodies]
    assert [[line["rows"] for line in lines] for lines in inputs] == [[4], [1, 3], [1]]
    assert inputs[1][0]["digest"] == inputs[0][0]["digest"] != inputs[2][0]["digest"]
    assert [body.ordinal for body in bodies] == [0, 1, 2]
    assert len({body.import_identity for body in bodies}) == 1
    assert "sampling" in result.not_known
    world.check()


def test_the_same_import_again_changes_nothing(world: World, tmp_path: Path) -> None:
    file = messages(tmp_path / "a.jsonl", "a", 7)
    first = take(world, file, max_rows=3)
    size, before = world.size(), world.rows()
    again = take(world, file, max_rows=3)
    assert again.unchanged
    assert (again.dataset, again.shards, again.written, again.records) == (first.dataset, first.shards, 0, 7)
    assert (world.size(), world.rows()) == (size, before)


def test_another_file_extends_the_dataset(world: World, tmp_path: Path) -> None:
    one, two = messages(tmp_path / "a.jsonl", "a", 3), messages(tmp_path / "b.jsonl", "b", 2)
    first = take(world, one)
    with pytest.raises(Conflict, match="new@1 is on record with 3 records: expected the name of a new dataset"):
        take(world, two)
    second = take(world, two, append=True)
    assert (first.name, second.name) == ("new@1", "new@2")
    assert world.body(second.dataset).previous == first.dataset
    assert answers(world, "new@2") == [*answers(world, "new@1"), "b answer 0", "b answer 1"]
    assert take(world, one).dataset == second.dataset
    assert take(world, one, dataset="other").name == "other@1"
    assert world.parts("other") == world.parts("new@1")


def test_the_same_files_in_two_datasets_are_the_same_shards(world: World, tmp_path: Path) -> None:
    file = messages(tmp_path / "a.jsonl", "a", 3)
    first, second = take(world, file), take(world, file, dataset="other")
    assert first.shards == second.shards
    assert second.written == 0
    assert not second.unchanged


def test_a_version_can_be_named_and_is_taken_once(world: World, tmp_path: Path) -> None:
    assert take(world, messages(tmp_path / "a.jsonl", "a", 1), dataset="new@2").name == "new@2"
    assert take(world, messages(tmp_path / "b.jsonl", "b", 1), append=True).name == "new@3"
    with pytest.raises(Conflict, match="new@3 is on record"):
        take(world, messages(tmp_path / "c.jsonl", "c", 1), dataset="new@3", append=True)


def test_the_same_file_under_other_facts_is_not_held_twice(world: World, tmp_path: Path) -> None:
    file = messages(tmp_path / "a.jsonl", "a", 3)
    take(world, file)
    with pytest.raises(Conflict, match="holds records of the same file already"):
        take(world, file, facts={"created_by": "operator"}, append=True)
    assert versions(world, "new") == ["1"]


def test_an_import_that_fails_makes_no_teacher(world: World, tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_bytes(LINE * 2 + b"not json\n")
    size = world.size()
    with pytest.raises(InvalidInput, match="line 3"):
        take(world, file, teacher="nobody/yet@1", create=True)
    assert world.size() == size
    assert take(world, messages(tmp_path / "a.jsonl", "a", 1), teacher="nobody/yet@1", create=True).records == 1


def test_another_partys_dataset_of_the_same_name_is_not_extended(world: World, tmp_path: Path) -> None:
    theirs = world.put("dataset", world.dataset_body("new", world.parts("code")), "vendor-producer")
    result = take(world, messages(tmp_path / "a.jsonl", "a", 2))
    assert result.dataset != theirs
    assert answers(world, result.dataset) == ["a answer 0", "a answer 1"]


IDENTITY: dict[str, dict[str, Any]] = {
    "facts": {"facts": {"created_by": "operator"}},
    "options": {"options": {"own_turns": "all"}},
    "teacher": {"teacher": "acme/coder@2"},
    "skipping": {"on_reject": lambda reject: None},
    "rows": {"max_rows": 2},
}


@pytest.mark.parametrize("name", IDENTITY)
def test_what_an_import_is_about_changes_its_identity(shared_world: World, tmp_path: Path, name: str) -> None:
    file = messages(tmp_path / "a.jsonl", "identity", 3)
    first = take(shared_world, file, dataset="plain")
    other = take(shared_world, file, dataset=name, **IDENTITY[name])
    assert other.written == len(other.shards) > 0
    assert not set(other.shards) & set(first.shards)
    identities = {shared_world.body(ref).import_identity for ref in (*first.shards, *other.shards)}
    assert len(identities) == 2


def test_declared_facts_are_in_every_shard(shared_world: World, tmp_path: Path) -> None:
    facts = {
        "created_by": "contractor",
        "supplier": "vendor",
        "generated": {"first": "2026-01-01", "last": "2026-02-01", "live": False},
    }
    result = take(shared_world, messages(tmp_path / "a.jsonl", "facts", 4), dataset="declared", facts=facts, max_rows=2)
    for shard in result.shards:
        body = shared_world.body(shard)
        assert (body.created_by.known, body.supplier.known, body.generated.known.first) == (
            "contractor",
            shared_world.ref("vendor", "party"),
            "2026-01-01",
        )
    assert not {"created_by", "supplier", "generated"} & set(result.not_known)


def test_a_malformed_line_fails_the_import_and_leaves_no_dataset(world: World, tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_bytes(LINE * 5 + b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":7}]}\n' + LINE)
    with pytest.raises(InvalidInput) as caught:
        take(world, file, max_rows=2)
    place = f"{file}, line 6, record 6, field messages[1].content"
    assert caught.value.message == f"{place}: expected a string, found the number 7"
    assert versions(world, "new") == []
    world.check()
    with pytest.raises(NotFound):
        world.ref("new")


def test_rejects_are_counted_and_the_rest_is_kept(world: World, tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_bytes(b"not json\n" + LINE * 3 + b"{}\n" + LINE * 2 + b'{"messages":[]}\n' + LINE[:20])
    rejects: list[Rejected] = []
    result = take(world, file, max_rows=2, on_reject=rejects.append)
    assert (result.records, [reject.line for reject in rejects]) == (5, [1, 5, 8, 9])
    assert sum(result.rejected.values()) == 4
    counts = [world.body(shard).counts for shard in result.shards]
    assert sum(c.kept for c in counts) == 5
    assert sum(sum(c.rejected.values()) for c in counts) == 4
    assert all(c.received == c.kept + sum(c.rejected.values()) for c in counts)
    assert take(world, file, max_rows=2, on_reject=rejects.append).unchanged


def test_empty_responses_and_duplicate_ids_are_kept_and_counted(world: World, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    lines = [
        {"id": i % 2, "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "" if i else "a"}]}
        for i in range(4)
    ]
    file.write_text("\n".join(map(json.dumps, lines)))
    result = take(world, file)
    assert (result.records, result.empty, result.duplicate_ids) == (4, 3, 2)
    assert world.body(result.shards[0]).counts.empty == 3
    assert answers(world, "new") == ["a", "", "", ""]


NOTHING: dict[str, Callable[[Path], Sequence[Path]]] = {
    "no files": lambda folder: [],
    "an empty file": lambda folder: [_written(folder / "empty", b"")],
    "an empty array": lambda folder: [_written(folder / "empty", b"[]")],
}


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", NOTHING)
def test_an_import_of_nothing_is_refused(shared_world: World, tmp_path: Path, name: str) -> None:
    size = shared_world.size()
    with pytest.raises(InvalidInput, match=r"expected at least one|found no record"):
        take(shared_world, *NOTHING[name](tmp_path), dataset="nothing")
    assert shared_world.size() == size


def test_a_missing_file_makes_no_teacher(shared_world: World, tmp_path: Path) -> None:
    size = shared_world.size()
    with pytest.raises(NotFound, match=r"missing\.jsonl"):
        take(shared_world, tmp_path / "missing.jsonl", teacher="nobody/none@1", create=True)
    assert shared_world.size() == size


def test_a_teacher_that_is_not_on_record_is_made_when_asked(world: World, tmp_path: Path) -> None:
    file = messages(tmp_path / "a.jsonl", "a", 1)
    with pytest.raises(NotFound) as caught:
        take(world, file, teacher="novo/m@1")
    assert "--create" in (caught.value.hint or "")
    take(world, file, teacher="novo/m@1", create=True, facts={"teacher": {"access_path": "router"}})
    assert world.body(world.ref("novo/m@1")).access_path.known == "router"
    assert world.ref("novo", "party")


@pytest.mark.parametrize("change", ["shrinks", "grows", "changes"])
def test_a_file_that_changes_between_the_passes_stops_the_import(world: World, tmp_path: Path, change: str) -> None:
    file = messages(tmp_path / "a.jsonl", "a", 9)
    data = file.read_bytes()
    other = {"shrinks": data[:-1], "grows": data + LINE, "changes": data.replace(b"answer 8", b"answer 9")}[change]

    def progress(what: str, done: int, total: int) -> None:
        if what.startswith("hashing") and done == total:
            file.write_bytes(other)

    with pytest.raises(InvalidInput, match="changed while it was read"):
        take(world, file, max_rows=2, progress=progress)
    assert versions(world, "new") == []
    world.check()


# -- several processes ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def processes() -> Iterator[Any]:
    """Processes that begin with everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["inbond.registry.registry", "inbond.registry.importers"])
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2])
        yield context


Start = Callable[..., Any]


@pytest.fixture
def start(processes: Any) -> Iterator[Start]:
    """Starts an import in another process, and returns the process once it has opened the registry."""
    children: list[Any] = []

    def begin(world: World, file: Path, dataset: str, max_rows: int, go: Any = None) -> Any:
        started = processes.Event()
        if go is None:
            go = processes.Event()
            go.set()
        arguments = (str(world.folder), os.environ["INBOND_STATE"], str(file), TEACHER, dataset, max_rows, started, go)
        children.append(processes.Process(target=run_import, args=arguments, daemon=True))
        children[-1].start()
        assert started.wait(20)
        return children[-1]

    yield begin
    for child in children:
        child.kill()
        child.join()
        child.close()


def test_an_import_killed_at_any_moment_goes_on_without_duplicates(
    make_world: Callable[..., World], tmp_path: Path, start: Start
) -> None:
    moments = int(os.environ.get("INBOND_FAULTS", "6"))
    chance, rows, per_shard, whole, killed = random.Random(moments), 24, 3, 0.0, 0
    file = messages(tmp_path / "new.jsonl", "new", rows)
    for name in ("cold", "warm"):
        child = start(make_world(name), file, "new", per_shard)
        begun = time.monotonic()
        child.join()
        whole = time.monotonic() - begun
    for moment in range(moments):
        world = make_world(f"killed-{moment}")
        child = start(world, file, "new", per_shard)
        child.join(chance.uniform(0, whole))
        child.kill()
        child.join()
        killed += child.exitcode != 0
        report = world.registry.audit()
        assert report.verdict == "clean", (moment, report)
        before = sorted(row["ordinal"] for row in world.rows()["shards"] if row["rows"] == per_shard)
        assert before == list(range(len(before)))
        result = take(world, file, max_rows=per_shard)
        assert answers(world, "new") == [f"new answer {i}" for i in range(rows)]
        assert result.written == rows // per_shard - len(before)
        ordinals = [world.body(shard).ordinal for shard in result.shards]
        assert ordinals == sorted(row["ordinal"] for row in world.rows()["shards"] if row["rows"] == per_shard)
        assert ordinals == list(range(rows // per_shard))
        assert versions(world, "new") == ["1"]
        if not moment:
            world.check()
        world.registry.close()
    assert killed >= moments // 3


def test_the_same_import_twice_at_once_holds_nothing_twice(world: World, tmp_path: Path) -> None:
    file, registry = messages(tmp_path / "some.jsonl", "some", 20), world.registry
    asked: dict[str, Any] = {"teacher": "newcomer/model@1", "dataset": "some", "create": True}
    made: list[ImportResult] = []

    def meanwhile(what: str, done: int, total: int) -> None:
        if what == "reading" and not made:
            made.append(ImportResult("", ""))
            made[0] = registry.import_files("messages", [file], **asked)

    with pytest.raises(Conflict, match=r"shard 0 of import .* is on record as shard:") as refused:
        registry.import_files("messages", [file], **asked, progress=meanwhile)
    assert refused.value.hint == (
        "another process imports the same files: repeat the command when it has ended, nothing will be doubled"
    )
    again = registry.import_files("messages", [file], **asked)
    assert (again.unchanged, again.dataset, again.shards) == (True, made[0].dataset, made[0].shards)
    assert versions(world, "some") == ["1"]
    assert sum(row["name"] == "newcomer/model@1" for row in world.rows()["things"]) == 1
    world.check()


def test_a_teacher_and_a_party_that_several_make_at_once_are_made_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    registry, spec, together = world.registry, "newcomer/model@1", Barrier(4, timeout=20)
    resolve, missed = registry.resolve, set[tuple[int, str]]()

    def resolved(name: str, *kinds: str, **options: Any) -> str:
        try:
            return resolve(name, *kinds, **options)
        except NotFound:
            if (get_ident(), name) not in missed:  # everybody misses it before anybody makes it
                missed.add((get_ident(), name))
                together.wait()
            raise

    monkeypatch.setattr(registry, "resolve", resolved)
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: catalogue.teacher_of_import(registry, spec, {}), range(4)))
    assert found == {world.ref(spec)}
    assert [row["name"] for row in world.rows()["things"] if row["kind"] == "party"].count("newcomer") == 1
    assert catalogue.teacher_of_import(registry, "acme/base@1", {}) == world.ref("acme/base@1")
    world.check()


@pytest.mark.parametrize("datasets", [("left", "right"), ("both", "both")], ids=["two datasets", "one dataset"])
def test_two_processes_importing_at_once_end_with_one_chain(
    world: World, tmp_path: Path, start: Start, processes: Any, datasets: tuple[str, str]
) -> None:
    files = [messages(tmp_path / f"{i}.jsonl", f"f{i}", 20) for i in range(2)]
    go = processes.Event()
    children = [start(world, file, name, 4, go) for file, name in zip(files, datasets, strict=True)]
    go.set()
    for child in children:
        child.join()
        assert child.exitcode == 0
    expected = [{f"f{i} answer {n}" for n in range(20)} for i in range(2)]
    if datasets[0] == datasets[1]:
        assert set(answers(world, "both@2")) == expected[0] | expected[1]
        assert world.body(world.ref("both@2")).previous == world.ref("both@1")
    else:
        assert [set(answers(world, name)) for name in datasets] == expected
    world.check()
