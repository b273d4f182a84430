"""Withdrawal: who may take rows back, what the gate then refuses, and how a running pull ends."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from inbond.registry import gate
from inbond.registry.terms import asking
from inbond.registry.times import now
from inbond.registry.training.layout import Span
from inbond.schemas import statements as s
from inbond.schemas.declared import unknown
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import Conflict, InbondError, InvalidInput, NotFound, NotPermitted, PolicyDenied
from inbond.schemas.statement import digest_of
from inbond.schemas.statements import Verdict
from tests.registry.scene import Scene
from tests.registry.world import CHAT_ROWS, LONG_AGO, NEVER, SHARD_ROWS, World, consume_body, messages

NOWHERE = "0" * 32
Rows = tuple[tuple[int, int], ...]


def body(world: World, *targets: str | tuple[str, Rows], **changes: Any) -> s.Recall:
    lines = [
        s.TargetLine(object=target) if isinstance(target, str) else s.TargetLine(object=target[0], rows=target[1])
        for target in targets
    ]
    fields: dict[str, Any] = {
        "targets": world.registry.store.put_lines(lines),
        "category": s.RecallCategory.TERMS,
        "known": LONG_AGO,
        "effective": LONG_AGO,
        "action": s.RecallAction.STOP,
    }
    return s.Recall(**(fields | changes))


def recalled(world: World, *targets: str | tuple[str, Rows], by: str = "producer", header: Any = None, **changes: Any) -> str:
    return world.put("recall", body(world, *targets, **changes), by, **(header or {}))


def ask(world: World, spans: Any, at: str | None = None, size: int | None = None) -> gate.Ruled:
    with world.registry.reading() as reader:
        parts = [part if isinstance(part, str) else Span(*part) for part in spans]
        return asking.evaluate(reader.connection, world.ref("lab/pupil"), parts, at or now(), size)[0]


# -- the gate --------------------------------------------------------------------------------------------------------------------


def test_withdrawn_rows_are_prohibited_and_the_reason_leads_to_the_recall(world: World) -> None:
    a, b, _ = (part[0] for part in world.parts("chat"))
    before = world.size()
    ref = recalled(world, (a, ((3, 5), (8, 9))), effective="2026-02-01")
    ruled = ask(world, world.parts("chat"))
    assert ruled.verdict is Verdict.PROHIBITED
    [reason] = [reason for reason in ruled.reasons if reason.verdict is not Verdict.PERMITTED]
    assert (reason.rule, reason.recall, reason.shard) == ("recall-1", ref, a)
    for part in (f"entry {before}", "terms", a, "[3, 5)", "2026-02-01"):
        assert part in reason.text
    assert (reason.line()["recall"], reason.line()["shard"]) == (ref, a)
    touching: list[tuple[Any, bool]] = [
        ((a, 0, 3), False), ((a, 3, 4), True), ((a, 4, 8), True), ((a, 5, 8), False), ((a, 8, 12), True), ((a, 9, 12), False),
        ((b, 0, 12), False), (a, True), (b, False),
    ]  # fmt: skip
    for part, hit in touching:
        assert (ask(world, [part]).verdict is Verdict.PROHIBITED) is hit, part
    assert ask(world, [a], size=before).verdict is Verdict.PERMITTED
    assert ask(world, [a], size=before + 1).verdict is Verdict.PROHIBITED


def test_a_recall_takes_effect_at_its_time(world: World) -> None:
    shard = world.parts("chat")[0][0]
    recalled(world, shard, effective="2031-05-01")
    recalled(world, world.parts("chat")[1][0], effective="2031-06-01T12:00:00.000Z")
    times = [("2031-04-30T23:59:59.999Z", 0), ("2031-05-01T00:00:00.000Z", 1), ("2031-06-01T11:59:59.999Z", 1),
             ("2031-06-01T12:00:00.000Z", 2)]  # fmt: skip
    for at, count in times:
        assert sum(reason.rule == "recall-1" for reason in ask(world, world.parts("chat"), at).reasons) == count, at
    assert len(list(world.registry.pull("chat", student="lab/pupil", run="first"))) == CHAT_ROWS


def test_a_dataset_withdraws_its_rows_in_whatever_version_they_stand(world: World) -> None:
    a, b, _ = (part[0] for part in world.parts("chat"))
    few = world.dataset("few", [(a, 2, 5), (b, 0, 1)])
    other = world.dataset("other", [(a, 4, 8)])
    apart = world.dataset("apart", [(a, 5, 8), (b, 1, 12)])
    recalled(world, few)
    later = world.dataset("later", [(b, 0, 12)])
    refused = {name: ask(world, world.parts(name)).verdict is Verdict.PROHIBITED for name in (few, other, apart, later, "chat")}
    assert refused == {few: True, other: True, apart: False, later: True, "chat": True}
    for name, hit in refused.items():
        assert (world.registry.check([name], "lab/pupil").verdict is Verdict.PROHIBITED) is hit
    world.check()


def test_a_lifted_recall_opens_again_and_the_time_between_stays(world: World) -> None:
    shard = world.parts("chat")[0][0]
    ref = recalled(world, shard)
    shut = world.size()
    other = recalled(world, (shard, ((0, 1),)))
    world.registry.lift_recall(ref, reason="the wrong shard")
    assert ask(world, [(shard, 1, 12)]).verdict is Verdict.PERMITTED
    assert ask(world, [shard]).reasons[-1].recall == other
    assert ask(world, [(shard, 1, 12)], size=shut).verdict is Verdict.PROHIBITED
    with pytest.raises(Conflict, match="withdraws nothing any more"):
        world.registry.lift_recall(ref, reason="again")
    again = recalled(world, shard, by="compliance")
    narrower = recalled(world, (shard, ((5, 6),)), by="compliance", header={"amends": again})
    assert {reason.recall for reason in ask(world, [shard]).reasons if reason.recall} == {other, narrower}
    assert ask(world, [(shard, 6, 12)]).verdict is Verdict.PERMITTED
    world.check()


def test_a_refusal_names_the_first_shards_and_counts_the_others(world: World) -> None:
    chat = world.body(world.parts("chat")[0][0])
    shards = [world.put("shard", world.changed(world.parts("chat")[0][0], ordinal=100 + at), "producer") for at in range(25)]
    assert chat.rows == SHARD_ROWS
    recalled(world, *shards)
    ruled = ask(world, shards)
    texts = [reason.text for reason in ruled.reasons if reason.rule == "recall-1"]
    assert len(texts) == 21
    assert "5 more shards" in texts[-1]


# -- what is admitted ------------------------------------------------------------------------------------------------------------


def test_a_running_pull_stops_at_its_next_segment(world: World) -> None:
    third = world.parts("chat")[2][0]
    records = iter(world.registry.pull("chat", student="lab/pupil", run="first", segment=5))
    got = [next(records).response for _ in range(3)]
    done = world.registry.recall(third, reason="found personal data", category="personal_data")
    with pytest.raises(PolicyDenied, match=f"entry {done.recorded.seq} .*{third}.*personal_data") as caught:
        got.extend(record.response for record in records)
    assert got == [f"chat answer {i}" for i in range(5)]  # what was on record as delivered is handed out
    assert "inbond dataset list" in (caught.value.hint or "")
    assert caught.value.members["recall"] == done.recorded.ref
    assert done.impact.open_runs == (world.ref("first"),)
    with pytest.raises(PolicyDenied, match="withdraws"):
        world.registry.pull("chat", student="lab/pupil", run="first")
    with pytest.raises(PolicyDenied, match="withdraws") as caught:
        world.registry.pull("chat", student="lab/pupil", run="second")
    assert "inbond dataset list" in (caught.value.hint or "")
    world.dataset("rest", world.parts("chat")[:2])
    assert len(list(world.registry.pull("rest", student="lab/pupil", run="third"))) == 24
    world.check()


def test_a_recall_of_other_rows_stops_nothing(world: World) -> None:
    a, b, _ = (part[0] for part in world.parts("chat"))
    world.dataset("some", [(a, 0, 6), (b, 3, 9)])
    records = iter(world.registry.pull("some", student="lab/pupil", run="first", segment=2))
    next(records)
    recalled(world, (a, ((6, 12),)), (b, ((0, 3), (9, 12))), world.parts("code")[0][0])
    assert len(list(records)) == 11


def test_a_recall_on_record_before_the_grant_stops_the_pull_when_its_time_comes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two ways to a recall that matters now: it came after the grant, or took effect after it."""
    recalled(world, world.parts("chat")[0][0], effective="2090-01-01")
    run, key = world.run(world.ref("lab/pupil"), "long", world.ref("chat"))
    grant = world.grant(run, key, world.parts("chat"))
    first = world.consume(run, key, grant, 0, 10)
    monkeypatch.setattr(world.registry.log, "_clock", lambda: datetime(2089, 12, 31, 23, 59, 59, tzinfo=UTC))
    second = world.consume(run, key, grant, 10, 12, sequence=1, previous=first)
    monkeypatch.setattr(world.registry.log, "_clock", lambda: datetime(2090, 1, 1, tzinfo=UTC))
    segment = consume_body(run, grant, 12, 20, sequence=2, previous=second)
    with pytest.raises(PolicyDenied, match=r"no longer permitted: entry .* withdraws"):
        world.put("consume", segment, key, party=world.registry.operator)
    world.check()


def test_what_was_given_outside_the_gate_is_put_on_record_all_the_same(world: World) -> None:
    scene = Scene(world)
    recalled(world, scene.shard)
    world.refuse(scene.consume(), PolicyDenied, "no longer permitted: entry .* withdraws")
    claimed = world.consume(
        scene.run, scene.key, None, 10, 20, sequence=1, previous=scene.first, state=s.ConsumeState.RETROSPECTIVE
    )
    world.consume(scene.run, scene.key, scene.grant, 20, 25, sequence=2, previous=claimed, state=s.ConsumeState.SPOOLED)
    world.check()


def test_nothing_withdrawn_is_delivered_or_granted(world: World) -> None:
    scene = Scene(world)
    free, free_key = world.run(scene.student, "free", scene.code)
    recalled(world, (scene.shard, ((11, 12),)))
    world.refuse(scene.delivery(), PolicyDenied, f"{scene.chat} may not be delivered: entry .* withdraws")
    alone = {"grant": UNSET}
    world.refuse(scene.delivery(**alone), PolicyDenied, "may not be delivered")
    world.refuse(scene.delivery(object=scene.shard, **alone), PolicyDenied, "may not be delivered")
    world.refuse(scene.granted(), PolicyDenied, "withdraws")
    assert not isinstance(world.send(scene.delivery(object=scene.parts[1][0], **alone))[0], InbondError)
    world.grant(free, free_key, world.parts("code"))
    with pytest.raises(PolicyDenied, match="may not be delivered"):
        world.registry.export_dataset("chat", world.folder.parent / "out")
    world.check()


def test_files_are_whole_shards_so_every_row_of_them_counts(world: World) -> None:
    shard = world.parts("chat")[0][0]
    some = world.dataset("some", [(shard, 0, 6)])
    recalled(world, (shard, ((6, 7),)))
    run, key = world.run(world.ref("lab/pupil"), "some", some)
    world.grant(run, key, [(shard, 0, 6)])
    with pytest.raises(PolicyDenied, match="withdraws"):
        world.grant(run, key, [(shard, 0, 6)], mode=s.GrantMode.EXPORT)
    with pytest.raises(PolicyDenied, match="withdraws"):
        world.registry.deliver("some", student="lab/pupil", run="files", folder=world.folder.parent / "files")


def test_rows_in_other_formats_leave_alone_and_count_alone(world: World, tmp_path: Path) -> None:
    registry, shard = world.registry, world.parts("chat")[0][0]
    some = world.dataset("some", [(shard, 0, 6)])
    recalled(world, (shard, ((6, 7),)))
    with pytest.raises(PolicyDenied, match="may not be delivered"):
        registry.export_dataset("some", tmp_path / "bundle")
    with pytest.raises(PolicyDenied, match="withdraws"):
        registry.deliver("some", student="lab/pupil", run="shards", folder=tmp_path / "shards")
    to_run = registry.deliver("some", student="lab/pupil", run="rows", folder=tmp_path / "rows", format="messages")
    alone = registry.export_dataset("some", tmp_path / "alone", format="messages")
    assert (to_run.records, alone.records) == (6, 6)
    run, student = world.ref("rows"), world.ref("lab/pupil")
    assert [(row["run"], row["shard"], row["first"], row["last"]) for row in world.rows()["exposures"]] == [(run, shard, 0, 6)]
    assert registry.place.inputs(run) == {shard: 6}
    assert [(share.rows, share.samples) for share in registry.shares(student).shares] == [(6, 6)]
    [found] = [item for item in registry.learners("acme/base@1").students if item.student == student]
    assert found.rows == 6
    left = {*to_run.deliveries, *alone.deliveries}
    world.dataset("beyond", [(shard, 6, 9)])
    assert {item.ref for item in registry.impact("beyond").affected} & {*left, run, student} == set()
    world.dataset("last", [(shard, 5, 9)])
    reached = {item.ref: item.rows for item in registry.impact("last").affected}
    assert {ref: reached.get(ref) for ref in (*left, run, student)} == dict.fromkeys((*left, run, student), 1)
    recalled(world, (shard, ((5, 6),)))
    for leave in (
        lambda: registry.export_dataset("some", tmp_path / "no", format="messages"),
        lambda: registry.deliver("some", student="lab/pupil", run="no", folder=tmp_path / "no", format="messages"),
    ):
        with pytest.raises(PolicyDenied, match=r"withdraws rows \[5, 6\) of"):
            leave()
    assert some == world.ref("some")
    world.check()


def test_a_split_in_another_format_is_what_the_run_was_given(world: World, tmp_path: Path) -> None:
    registry, (a, b, _) = world.registry, (part[0] for part in world.parts("chat"))
    lines = [
        s.PartLine(shard=a, rows=((0, 4), (8, 10)), split="train", count=6),
        s.PartLine(shard=a, rows=((4, 8),), split="test", count=4),
        s.PartLine(shard=b, rows=((0, 12),), split="test", count=12),
    ]
    counts = s.DatasetCounts(shards=2, rows=22, tokens=unknown(), splits={"test": 16, "train": 6})
    world.dataset("parted", [], parts=registry.store.put_lines(lines), counts=counts)
    world.dataset("tested", [(a, 4, 8)])
    recalled(world, (a, ((4, 5),)))
    done = registry.deliver("parted", student="lab/pupil", run="rows", folder=tmp_path / "rows", format="messages")
    assert registry.place.inputs(world.ref("rows")) == {a: 6}
    assert done.deliveries[0] not in {item.ref for item in registry.impact("tested").affected}
    with pytest.raises(PolicyDenied, match="withdraws"):
        registry.export_dataset("parted", tmp_path / "all", format="messages")
    world.check()


def test_a_grant_may_name_any_known_rules_and_an_old_table_opens_nothing(world: World) -> None:
    scene = Scene(world)
    old = min(gate.KNOWN_RULES - {gate.RULES_DIGEST})
    evaluated = s.Evaluated(facts_size=1, rules=old, at=now())
    world.grant(scene.run, scene.key, scene.parts, evaluated=evaluated)
    other = s.Evaluated(facts_size=1, rules=digest_of({"rules": []}), at=now())
    world.refuse(scene.granted(evaluated=other), InvalidInput, "expected rules")
    recalled(world, scene.shard)
    world.refuse(scene.granted(evaluated=evaluated), PolicyDenied, "withdraws")
    world.check()


def of_vendor(world: World) -> tuple[str, str]:
    """A shard of the vendor's, and a dataset version of it."""
    shard = world.put("shard", world.changed(world.parts("chat")[0][0], ordinal=77), "vendor-producer")
    return shard, world.put("dataset", world.dataset_body("theirs", [(shard, 0, 4)]), "vendor-producer")


Case = Callable[[World, str, str], Envelope]


def later(**time: int) -> str:
    return (datetime.now(UTC) + timedelta(**time)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def case(*targets: Any, by: str = "producer", amends: bool = False, **changes: Any) -> Case:
    def make(world: World, shard: str, theirs: str) -> Envelope:
        named = {"shard": shard, "theirs": theirs, "chat": world.ref("chat"), "teacher": world.ref("acme/base@1")}
        lines = [named.get(each, each) if isinstance(each, str) else (named.get(each[0], each[0]), each[1]) for each in targets]
        header = {"amends": recalled(world, shard)} if amends else {}
        given = {name: named.get(value, value) if isinstance(value, str) else value for name, value in changes.items()}
        return world.signed("recall", body(world, *lines, **given), by, **header)

    return make


BAD: dict[str, tuple[Case, type[InbondError], str]] = {
    "nothing": (case(), InvalidInput, "at least one target"),
    "a shard that is not there": (case(f"shard:{NOWHERE}"), InvalidInput, "on record, found shard:0"),
    "a teacher": (case("teacher"), InvalidInput, "shards and dataset versions on record"),
    "rows beyond": (case(("shard", ((0, 3), (11, 13)))), InvalidInput, r"within \[0, 12\)"),
    "rows of a dataset": (case(("chat", ((0, 3),))), InvalidInput, "rows of a shard"),
    "their shard": (case("theirs"), NotPermitted, "belongs to"),
    "ours and theirs": (case("shard", "theirs"), NotPermitted, "belongs to"),
    "our shard by them": (case("shard", by="vendor-producer"), NotPermitted, "belongs to"),
    "our shard by their compliance": (case("shard", by="vendor-compliance"), NotPermitted, "belongs to"),
    "by the registry": (case("shard", by="registry"), NotPermitted, "found one as registry"),
    "known in days": (case("shard", known=later(days=2)[:10]), InvalidInput, "known by"),
    "known soon": (case("shard", known=later(hours=3)), InvalidInput, "known by"),
    "a teacher instead": (case("shard", replacement="teacher"), InvalidInput, "a shard or dataset"),
    "nothing instead": (case("shard", replacement=f"dataset:{NOWHERE}"), InvalidInput, "things that exist"),
    "itself instead": (case("shard", replacement="shard"), InvalidInput, "not withdrawn itself"),
    "a correction by a producer": (case("shard", amends=True), NotPermitted, "by compliance"),
    "a correction by another party": (case("shard", by="vendor-compliance", amends=True), NotPermitted, "belongs to"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_recall(shared_world: World, name: str) -> None:
    make, error, text = BAD[name]
    theirs = next((row["ref"] for row in shared_world.rows()["shards"] if row["ordinal"] == 77), None)
    theirs = theirs or of_vendor(shared_world)[0]
    shard = shared_world.parts("code")[0][0]
    ours = shared_world.put("shard", shared_world.changed(shard, rows=SHARD_ROWS, ordinal=shared_world.size()), "producer")
    shared_world.refuse(make(shared_world, ours, theirs), error, text)


def test_owners_and_the_operators_compliance_take_rows_back(world: World) -> None:
    shard, theirs = of_vendor(world)
    for by in ("vendor-producer", "vendor-trainer", "vendor-compliance", "compliance"):
        recalled(world, shard, theirs, by=by)
    mixed = world.dataset("mixed", [(shard, 0, 2), world.parts("code")[0]])
    with pytest.raises(NotPermitted, match=f"{shard} belongs to"):
        recalled(world, mixed)
    recalled(world, mixed, by="compliance")
    known = later(minutes=20)  # by another clock
    recalled(world, world.ref("code"), known=known, replacement=world.ref("chat"), deadline="2027-01-01")
    world.check()


# -- the verb --------------------------------------------------------------------------------------------------------------------


def test_a_teacher_is_withdrawn_shard_by_shard(world: World) -> None:
    done = world.registry.recall("acme/base@1", reason="terms ended", category="terms", effective=NEVER)
    assert set(done.targets) == {part[0] for part in world.parts("chat")}
    assert (done.impact.shards, done.impact.rows) == (3, CHAT_ROWS)
    assert done.impact.recalls == (done.recorded.ref,)
    world.registry.add_teacher("acme/silent@1")
    with pytest.raises(InvalidInput, match="no shards on record"):
        world.registry.recall("acme/silent@1", reason="x", category="terms")


def test_the_reason_is_kept_apart_from_the_ledger(world: World) -> None:
    reason = "a letter from somebody in particular"
    first, second = (world.registry.recall("chat", reason=reason, category="other", rows=()) for _ in range(2))
    headers = [world.registry.place.statement(done.recorded.ref).header for done in (first, second)]
    assert headers[0].why != headers[1].why  # salted
    assert world.registry.store.get(str(headers[0].why))[32:].decode() == reason
    with world.registry.reading() as reader:
        assert not any(reason.encode() in data for _, data in reader.entries())


def test_the_verb_signs_with_the_key_that_may(world: World) -> None:
    shard, theirs = of_vendor(world)
    mixed = world.dataset("mixed", [(shard, 0, 2), world.parts("code")[0]])
    for ref in ("code", shard, theirs, mixed):
        world.registry.recall(ref, reason="x", category="quality")
    (world.folder / "keys" / "compliance.key").unlink()
    world.registry.recall("code", reason="x", category="quality")
    with pytest.raises(NotPermitted, match="belongs to"):
        world.registry.recall(mixed, reason="x", category="quality")
    with pytest.raises(NotPermitted, match="or of the operator's compliance, found none"):
        world.registry.recall(shard, reason="x", category="quality")


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("chat", {"rows": [(0, 1)]}, "rows of a shard"),
    ("shard", {"rows": [(3, 3)]}, "found 3:3"),
    ("shard", {"rows": [(5, 2)]}, "found 5:2"),
    ("shard", {"category": "mood"}, "category: expected one of terms"),
    ("shard", {"action": "burn"}, "action: expected one of stop"),
    ("shard", {"effective": "tomorrow"}, "effective"),
]


@pytest.mark.parametrize(("ref", "options", "text"), WRONG)
def test_what_cannot_be_withdrawn_is_said_before_anything_is_recorded(
    shared_world: World, ref: str, options: dict[str, Any], text: str
) -> None:
    size = shared_world.size()
    target = shared_world.parts("chat")[0][0] if ref == "shard" else ref
    with pytest.raises(InvalidInput, match=text):
        shared_world.registry.recall(target, **({"reason": "x", "category": "terms"} | options))
    assert shared_world.size() == size


def test_touching_rows_are_one_range(world: World) -> None:
    shard = world.parts("chat")[0][0]
    done = world.registry.recall(shard, reason="x", category="terms", rows=[(4, 6), (0, 2), (2, 3), (5, 9)])
    rows = [(row["first"], row["last"]) for row in world.rows()["recalls"] if row["ref"] == done.recorded.ref]
    assert rows == [(0, 3), (4, 9)]


def test_rows_imported_later_under_the_same_name_are_free(world: World) -> None:
    """A recall is about rows that exist; an import after it brings others."""
    world.registry.recall("code", reason="x", category="quality")
    file = messages(world.folder.parent / "more.jsonl", "more", 4)
    found = world.registry.import_files("messages", [file], teacher="acme/coder@2", dataset="fresh")
    assert len(list(world.registry.pull(found.name, student="lab/pupil", run="fresh"))) == 4


# -- versions without them -------------------------------------------------------------------------------------------------------


def parts(world: World, name: str) -> list[tuple[str, int, int]]:
    return world.parts(world.ref(name, "dataset"))


def test_a_trimmed_version_holds_what_is_not_withdrawn(world: World) -> None:
    a, b, c = (part[0] for part in world.parts("chat"))
    assert world.registry.trim("chat").is_new is False
    recalled(world, (a, ((0, 2), (5, 6))), b)
    recalled(world, (a, ((1, 3),)), (c, ((5, 6),)), effective="2026-01-05")
    recalled(world, (c, ((0, 1),)), effective=NEVER)
    lifted = recalled(world, (c, ((1, 2),)))
    world.registry.lift_recall(lifted, reason="wrong")
    found = world.registry.trim("chat")
    assert (found.name, found.is_new) == ("chat@2", True)
    assert parts(world, "chat") == [(a, 3, 5), (a, 6, 12), (c, 0, 5)]
    assert [record.response for record in world.registry.pull("chat", student="lab/pupil", run="rest")] == [
        f"chat answer {i}" for i in (3, 4, *range(6, 12), *range(24, 29))
    ]
    assert not world.registry.trim("chat").is_new
    world.registry.recall("chat", reason="all", category="other")
    with pytest.raises(InvalidInput, match="chat@2: expected rows that are not withdrawn"):
        world.registry.trim("chat")
    with pytest.raises(NotFound):
        world.registry.trim("nothing")
    world.check()


def test_what_is_withdrawn_does_not_come_back_with_an_import(world: World) -> None:
    registry, file = world.registry, world.folder.parent / "chat.jsonl"
    a, b, c = (part[0] for part in world.parts("chat"))
    recalled(world, a, (b, ((0, 6),)))
    registry.trim("chat")
    again = registry.import_files("messages", [file], teacher="acme/base@1", dataset="chat", max_rows=SHARD_ROWS, append=True)
    assert again.unchanged
    more = messages(world.folder.parent / "more.jsonl", "more", 2)
    appended = registry.import_files("messages", [more], teacher="acme/base@1", dataset="chat", append=True)
    assert parts(world, "chat") == [(b, 6, 12), (c, 0, 6), (appended.shards[0], 0, 2)]
    other = registry.import_files("messages", [file], teacher="acme/base@1", dataset="other", max_rows=SHARD_ROWS)
    assert parts(world, other.name) == [(b, 6, 12), (c, 0, 6)]
    recalled(world, b, c)
    with pytest.raises(InvalidInput, match="dataset third: expected rows that are not withdrawn"):
        registry.import_files("messages", [file], teacher="acme/base@1", dataset="third", max_rows=SHARD_ROWS)
    world.check()
