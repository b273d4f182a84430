"""The folder as a place: pages that miss nothing and repeat nothing, grants and deliveries that are given once."""

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from inbond.ledger import dsse
from inbond.ledger.entries import parse_entry
from inbond.ledger.keys import SigningKey
from inbond.registry import listing, paging
from inbond.registry.objects import as_lines
from inbond.registry.places.folder import FolderPlace
from inbond.registry.recorder import Recorder
from inbond.registry.registry import Registry
from inbond.registry.training.layout import part_lines
from inbond.registry.training.runs import OpenRun, open_run
from inbond.schemas import canonical, statement
from inbond.schemas.declared import known
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import Conflict, InbondError, InvalidInput, NotFound, NotPermitted, PolicyDenied, VerificationError
from inbond.schemas.statements import REQUEST_TYPE, GrantMode, GrantRequest, Verdict
from tests.registry.world import World, ask_body, messages

LISTS = [kind for name, kind in vars(listing).items() if name.startswith("Listed")]


def every(place: FolderPlace, what: type, limit: int = 1000, **wanted: str) -> list[Any]:
    """All items, a page of `limit` at a time."""
    items, after = [], -1
    while after is not None:
        page = place.page(what, after, limit, **wanted)
        assert len(page.items) >= 1 or (after == -1 and page.next is None)
        items += page.items
        after = page.next
    return items


# -- lists -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", LISTS, ids=lambda what: what.__name__)
def test_pages_miss_nothing_and_repeat_nothing(lived: World, what: type) -> None:
    whole = every(lived.registry.local, what)
    assert [item.entry for item in whole] == sorted(item.entry for item in whole)
    for limit in (1, 2, 3, 7):
        assert every(lived.registry.local, what, limit) == whole
    refs = [getattr(item, "ref", None) or item.fingerprint for item in whole]
    assert len(set(refs)) == len(refs)


def test_a_list_holds_every_statement_of_its_kind(lived: World) -> None:
    place = lived.registry.local
    rows = lived.rows()["things"]
    kinds = {
        "party": listing.ListedParty, "teacher": listing.ListedTeacher, "terms": listing.ListedTerms,
        "dataset": listing.ListedDataset, "shard": listing.ListedShard, "student": listing.ListedStudent,
        "grant": listing.ListedGrant, "consume": listing.ListedConsumption, "delivery": listing.ListedDelivery,
        "release": listing.ListedRelease,
    }  # fmt: skip
    for kind, what in kinds.items():
        expected = {(row["ref"], row["seq"], row["owner"]) for row in rows if row["kind"] == kind and row["amends"] is None}
        assert {(item.ref, item.entry, item.owner) for item in every(place, what)} == expected, kind
    opened = {row["ref"] for row in rows if row["kind"] == "run" and row["name"]}
    assert {item.ref for item in every(place, listing.ListedRun)} == opened


def test_a_page_stays_where_it_is_while_things_are_added(world: World) -> None:
    place = world.registry.local
    before = every(place, listing.ListedStudent)
    first = place.page(listing.ListedStudent, limit=2)
    assert first.items == tuple(before[:2])
    assert first.next == before[1].entry
    added = [world.student(f"lab/late-{i}") for i in range(3)]
    rest = every(place, listing.ListedStudent, 2)[2:]
    following, after = [], first.next
    while after is not None:
        world.student(f"lab/later-{after}")
        page = place.page(listing.ListedStudent, after, 1)
        following += page.items
        after = page.next if page.items[-1].ref != added[-1] else None
    assert following[: len(rest)] == rest
    assert [item.ref for item in following][-3:] == added
    assert place.page(listing.ListedStudent).tree_size == world.size()


def test_figures_are_those_of_a_recount(lived: World) -> None:
    place, rows = lived.registry.local, lived.rows()
    makes = {(row["src"], row["dst"]) for row in rows["edges"] if row["relation"].startswith("model:")}
    size = {row["ref"]: row["rows"] for row in rows["shards"]}
    for teacher in every(place, listing.ListedTeacher):
        mine = {src for src, dst in makes if dst == teacher.ref}
        assert (teacher.shards, teacher.records) == (len(mine), sum(size[shard] for shard in mine)), teacher.name
    for dataset in every(place, listing.ListedDataset):
        parts = [row for row in rows["dataset_parts"] if row["dataset"] == dataset.ref]
        shards = {row["shard"] for row in parts}
        found = (dataset.shards, dataset.records, set(dataset.teachers), dataset.all_teachers)
        assert found == (len(shards), sum(r["last"] - r["first"] for r in parts), {d for s, d in makes if s in shards}, True)
    for run in every(place, listing.ListedRun):
        segments = [row for row in rows["consumptions"] if row["run"] == run.ref]
        assert (run.segments, run.samples) == (len(segments), sum(row["rows"] for row in segments))
        assert run.delivered == any(x["run"] == run.ref and x["by"].startswith("delivery:") for x in rows["exposures"])
    for student in every(place, listing.ListedStudent):
        assert student.runs == sum(row["student"] == student.ref for row in rows["runs"])
        assert student.releases == sum(row["student"] == student.ref for row in rows["releases"])


def test_teachers_of_a_long_dataset_are_said_to_be_some(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inbond.registry.items.PARTS_LOOKED_AT", 2)
    a, c = world.parts("chat")[0][0], world.parts("code")[0][0]
    world.dataset("mixed", [(a, 0, 1), (a, 2, 3), (c, 0, 1)])
    [mixed] = every(world.registry.local, listing.ListedDataset, name="mixed")
    assert (mixed.teachers, mixed.all_teachers) == ((world.ref("acme/base@1"),), False)
    [code] = every(world.registry.local, listing.ListedDataset, name="code@1")
    assert code.all_teachers


def test_a_list_is_asked_for_by_what_its_items_say(lived: World) -> None:
    place = lived.registry.local
    pupil, chat = lived.ref("lab/pupil", "student"), lived.ref("chat")

    def names(what: type, **wanted: str) -> list[str]:
        return [item.name for item in every(place, what, 1, **wanted)]

    assert names(listing.ListedRun, student=pupil) == names(listing.ListedRun, student="lab/pupil") == ["lessons", "copies"]
    assert names(listing.ListedRun, student=pupil, name="copies") == ["copies"]
    assert names(listing.ListedRun, dataset="code") == ["lessons"]
    assert names(listing.ListedRun, outcome="released") == ["lessons"]
    assert names(listing.ListedDataset, name="chat") == names(listing.ListedDataset, name="chat@1") == ["chat@1"]
    assert names(listing.ListedDataset, name="cha") == names(listing.ListedDataset, name="chat@2") == []
    assert names(listing.ListedTeacher, party="acme") == ["acme/base@1", "acme/coder@2"]
    assert names(listing.ListedTeacher, name="acme/base") == ["acme/base@1"]
    assert names(listing.ListedTerms, party="lab") == ["lab-terms@2026-01-01"]
    assert names(listing.ListedStudent, owner="vendor") == ["vendor/mini@1"]
    shards = [shard for shard, _, _ in lived.parts("chat")]
    assert [item.ref for item in every(place, listing.ListedShard, dataset=chat)] == shards
    assert {item.ref for item in every(place, listing.ListedShard, teacher="acme/base@1")} == set(shards)
    body = lived.body(shards[1])
    assert [item.ref for item in every(place, listing.ListedShard, digest=body.file)] == [shards[1]]
    assert [item.ref for item in every(place, listing.ListedShard, import_identity=body.import_identity)] == shards
    [line] = place.lines(body.inputs, shards[1])
    assert [item.ref for item in every(place, listing.ListedShard, input=line["digest"])] == shards
    assert [item.name for item in every(place, listing.ListedDataset, shard=shards[0])] == ["chat@1"]
    [asked] = every(place, listing.ListedDecision, student=pupil, terms="acme-terms")
    assert (set(asked.subjects), asked.ruling) == ({pupil, lived.ref("acme-terms")}, "permit")
    assert every(place, listing.ListedDecision, student="vendor/mini") == []


def test_many_that_fit_are_found_as_few_are(lived: World, monkeypatch: pytest.MonkeyPatch) -> None:
    place = lived.registry.local
    few = [every(place, listing.ListedShard, 2, **wanted) for wanted in ({"dataset": "chat"}, {"teacher": "acme/base@1"})]
    monkeypatch.setattr("inbond.registry.filters._FEW", 1)
    assert [every(place, listing.ListedShard, 2, **wanted) for wanted in ({"dataset": "chat"}, {"teacher": "acme/base@1"})] == few


def test_what_cannot_be_asked_for(shared_world: World) -> None:
    place = shared_world.registry.local
    with pytest.raises(InvalidInput, match="asked for ref, owner, name, found colour"):
        place.page(listing.ListedStudent, colour="red")
    with pytest.raises(NotFound, match="no student is called"):
        place.page(listing.ListedRun, student="nobody")
    for limit in (0, -1, 1001):
        with pytest.raises(InvalidInput, match="limit from 1 to 1000"):
            place.page(listing.ListedRun, limit=limit)
    with pytest.raises(InvalidInput, match="a class of listing"):
        place.page(int)
    assert all({"ref", "owner"} <= set(paging.filters_of(what)) for what in LISTS if what is not listing.ListedKey)


def test_items_name_things_by_reference_and_a_page_says_what_they_are_called(lived: World) -> None:
    page = lived.registry.local.page(listing.ListedRun, name="lessons")
    [run] = page.items
    assert run.datasets == (lived.ref("chat"), lived.ref("code"))
    assert {page.names[ref] for ref in (run.student, *run.datasets, run.owner)} == {"lab/pupil@1", "chat@1", "code@1", "lab"}


def test_a_thing_that_was_corrected_stands_once_with_what_is_known_now(lived: World) -> None:
    place, base = lived.registry.local, lived.ref("acme/base@1")
    [before] = every(place, listing.ListedTeacher, name="acme/base@1")
    lived.put("teacher", lived.changed(base, model=known("basis")), "producer", amends=base)
    assert every(place, listing.ListedTeacher, name="acme/base@1") == []
    [after] = every(place, listing.ListedTeacher, name="acme/basis")
    assert (after.ref, after.entry, after.shards) == (base, before.entry, before.shards)
    assert place.things([base])[base].name == "acme/basis@1"
    [party] = every(place, listing.ListedParty, name="acme")
    assert party.teachers == 2


def test_keys_are_listed_with_every_entry_about_them(world: World) -> None:
    registry = world.registry
    recorded = registry.add_key("auditor")
    fingerprint = registry.keys.role("auditor").public.fingerprint
    revoked = registry.revoke_key(fingerprint, "retired", suspect_from=3)
    [key] = every(registry.local, listing.ListedKey, fingerprint=fingerprint)
    assert (key.roles, key.party, key.entry) == (("auditor",), registry.operator, recorded.seq)
    assert (key.entries, key.revoked, key.suspect_from) == ((recorded.seq, revoked.seq), revoked.seq, 3)
    for log in every(registry.local, listing.ListedKey, role="log"):
        assert (log.entry, log.entries, log.file) == (0, (0,), None)
    about = {seq for key in every(registry.local, listing.ListedKey) for seq in key.entries}
    with registry.reading() as reader:
        assert about == {seq for seq, _ in reader.entries(kinds=("genesis", "key"))}
    whole = registry.local.page(listing.ListedKey).items
    first = registry.local.page(listing.ListedKey, limit=2)  # genesis brought three or four: none of them may be lost
    assert [len(first.items), {key.entry for key in whole[:3]}] == [2, {0}]
    rest = registry.local.page(listing.ListedKey, int(first.next or 0))
    assert (*first.items, *rest.items) == whole
    assert rest.next is None


# -- grants ----------------------------------------------------------------------------------------------------------------


def requested(
    world: World, run: OpenRun, mode: GrantMode = GrantMode.STREAM, key: SigningKey | None = None, **changes: Any
) -> Envelope:
    _, parts = as_lines(part_lines(run.layout))
    given = {
        "run": run.ref,
        "registry": world.registry.origin,
        "id": secrets.token_hex(16),
        "columns": ("response",),
        "parts": parts,
    }
    request = GrantRequest(mode=mode, **(given | changes))
    return dsse.sign(canonical.encode(request), [key or run.key], REQUEST_TYPE)


@pytest.fixture
def run(world: World) -> OpenRun:
    return open_run(world.registry, ["chat"], student="lab/pupil", name="first")


def test_a_request_is_granted_once(world: World, run: OpenRun) -> None:
    place, request = world.registry.place, requested(world, run)
    first = place.grant(request)
    size = world.size()
    again = place.grant(request)
    assert (again.ref, again.seq, again.duplicate, first.duplicate) == (first.ref, first.seq, True, False)
    assert world.size() == size
    assert first.ref == f"grant:{canonical.decode(dsse.payload_of(request), GrantRequest).id}"
    body = world.body(first.ref)
    assert (body.verdict, body.columns, body.principal) == (Verdict.PERMITTED, ("response",), world.registry.operator)
    world.registry.close_run("first", "kept")
    assert place.grant(request).ref == first.ref
    with pytest.raises(Conflict, match="was closed by entry"):
        place.grant(requested(world, run))
    world.check()


def test_a_request_that_comes_many_times_at_once_is_granted_once(world: World, run: OpenRun) -> None:
    request = requested(world, run)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: world.registry.place.grant(request), range(16)))
    assert len({(recorded.ref, recorded.seq) for recorded in found}) == 1
    assert len(world.rows()["grants"]) == 1


def test_a_request_that_does_not_fit_is_refused(world: World, run: OpenRun) -> None:
    place, size = world.registry.place, world.size()
    other = SigningKey.generate("other")
    id = secrets.token_hex(16)
    bad: list[tuple[Envelope, type[InbondError], str]] = [
        (requested(world, run, registry="example.org/other"), InvalidInput, "expected one to example.org/world"),
        (requested(world, run, key=other), NotPermitted, "expected signatures by known keys"),
        (requested(world, run, key=world.key("trainer")), NotPermitted, "expected signatures by known keys"),
        (requested(world, run, parts=as_lines([])[1]), InvalidInput, "expected the parts of the plan"),
        (requested(world, replace(run, ref="run:" + "0" * 32)), NotFound, "expected a run that is on record"),
        (world.party("somebody"), InvalidInput, "expected payload type"),
    ]
    for request, error, text in bad:
        with pytest.raises(error, match=text):
            place.grant(request)
    signed = requested(world, run)
    with pytest.raises(VerificationError):
        place.grant(Envelope(requested(world, run).payload, signed.payload_type, signed.signatures))
    assert world.size() == size
    place.grant(requested(world, run, id=id))
    with pytest.raises(Conflict, match="a request serves once"):
        place.grant(requested(world, run, id=id, columns=("prompt",)))
    with pytest.raises(Conflict, match="header id"):
        place.grant(requested(world, run, id=run.ref.partition(":")[2]))
    assert world.size() == size + 1


def test_a_request_behind_a_shut_gate_is_refused_by_name(world: World, run: OpenRun) -> None:
    asked = world.registry.ask("lab/pupil", "acme-terms", "again")
    world.registry.rule(asked.ref, "refuse", "thought again")
    size = world.size()
    with pytest.raises(
        PolicyDenied, match=r"lab/pupil@1 may not learn from this .prohibited.: acme/base@1 under acme-terms"
    ) as caught:
        world.registry.place.grant(requested(world, run))
    assert caught.value.members["verdict"] == "prohibited"
    assert (caught.value.hint or "").splitlines() == [
        "inbond decide ask --student lab/pupil@1 --terms acme-terms@2026-01-01 --grounds TEXT",
        "inbond decide rule --student lab/pupil@1 --terms acme-terms@2026-01-01 permit --grounds TEXT",
    ]
    assert world.size() == size


# -- deliveries ------------------------------------------------------------------------------------------------------------


def test_a_delivery_under_a_grant_is_on_record_once(world: World) -> None:
    place = world.registry.place
    run = open_run(world.registry, ["code", "chat"], student="lab/pupil", name="copies")
    grant = place.grant(requested(world, run, GrantMode.EXPORT)).ref
    first = place.deliver(grant=grant)
    assert [world.body(item.ref).object for item in first] == [world.ref("code"), world.ref("chat")]
    assert not any(item.duplicate for item in first)
    size = world.size()
    again = place.deliver(grant=grant)
    assert [(item.ref, item.seq) for item in again] == [(item.ref, item.seq) for item in first]
    assert all(item.duplicate for item in again)
    assert world.size() == size
    world.check()


def test_deliveries_that_are_asked_for_many_times_at_once_are_on_record_once(world: World) -> None:
    place = world.registry.place
    run = open_run(world.registry, ["code", "chat"], student="lab/pupil", name="copies")
    grant = place.grant(requested(world, run, GrantMode.EXPORT)).ref
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: place.deliver(grant=grant), range(12)))
    assert len({tuple((item.ref, item.seq) for item in items) for items in found}) == 1
    assert len(world.rows()["deliveries"]) == 2


def test_what_a_delivery_needs(world: World, run: OpenRun) -> None:
    place = world.registry.place
    stream = place.grant(requested(world, run)).ref
    size = world.size()
    with pytest.raises(NotPermitted, match="is for a stream"):
        place.deliver(grant=stream)
    with pytest.raises(NotFound, match="expected a grant"):
        place.deliver(grant="grant:" + "0" * 32)
    for wrong in ({}, {"grant": stream, "object": world.ref("chat")}, {"grant": stream, "recipient": world.registry.operator}):
        with pytest.raises(InvalidInput, match="either a grant, or an object"):
            place.deliver(**wrong)
    with pytest.raises(InvalidInput, match="dataset or shard"):
        place.deliver(object=world.ref("lab/pupil"))
    assert world.size() == size
    one, other = (place.deliver(object=world.ref("chat"), recipient=world.ref("vendor", "party"))[0] for _ in range(2))
    assert one.ref != other.ref  # each time that bytes leave is a delivery
    assert world.body(one.ref).recipient.known == world.ref("vendor", "party")


# -- the rest of the questions ---------------------------------------------------------------------------------------------


def test_a_statement_is_that_of_its_reference_alone(world: World) -> None:
    place, chat = world.registry.place, world.ref("chat")
    assert place.statement(chat).ref == chat
    assert place.statement(world.registry.operator).kind == "genesis"
    with pytest.raises(NotFound, match="is not on record"):
        place.statement(f"shard:{chat.partition(':')[2]}")
    with pytest.raises(NotFound):
        place.statement("shard:" + "0" * 32)
    for text in ("chat", "shard:0", "nothing:" + "0" * 32):
        with pytest.raises(InvalidInput, match="expected a reference"):
            place.statement(text)


def test_an_object_is_given_where_a_statement_names_it(world: World) -> None:
    place, chat = world.registry.place, world.ref("chat")
    parts = world.body(chat).parts
    assert len(place.lines(parts, chat)) == 3
    assert place.object(parts.digest, chat).count(b"\n") == 3
    for of in (world.ref("code"), world.registry.operator):
        with pytest.raises(NotFound, match="names no object"):
            place.object(parts.digest, of)
    grounds = world.body(world.registry.ask("lab/other", "acme-terms", "a reason").ref).grounds
    [asked] = [item for item in every(world.registry.local, listing.ListedDecision) if item.ruling is None]
    assert place.object(grounds, asked.ref)[32:] == b"a reason"


def test_what_was_appended_is_answered_by_reference(world: World) -> None:
    place = world.registry.local
    good, bad = world.party("somebody"), world.signed("party", world.body(world.ref("vendor", "party")), "producer")
    size = world.size()
    first, refused, again = place.append([good, bad, good])
    assert isinstance(refused, NotPermitted)
    ref = statement.read(dsse.payload_of(good)).ref
    assert [(item.ref, item.seq, item.duplicate) for item in (first, again)] == [(ref, size, False), (ref, size, True)]
    receipt = place.receipt(size)
    assert parse_entry(receipt.extra or b"").dsse == good
    assert place.receipt(0, size).checkpoint != receipt.checkpoint
    assert Recorder(place).record_all([]) == []


def test_a_key_that_another_process_enrolled_is_known(world: World) -> None:
    with Registry.open(world.folder) as other:
        other.add_key("auditor")
    fingerprint = world.key("auditor").public.fingerprint
    state = world.registry.place.key(fingerprint)
    assert state is not None
    assert state.roles == {"auditor"}
    assert world.registry.place.key("0" * 64) is None


def test_sizes_of_the_past_are_sizes_of_this_log(world: World) -> None:
    place = world.registry.local
    questions: list[Callable[[int], Any]] = [
        lambda size: place.find("lab/pupil", size=size),
        lambda size: place.lineage(world.ref("lab/pupil"), size=size),
        lambda size: place.shares(world.ref("lab/pupil"), size),
        lambda size: place.learners(world.ref("acme/base@1"), size=size),
        lambda size: place.impact(world.ref("chat"), size),
    ]
    late = world.ref("vendor/mini")
    for ask in questions:
        for size in (0, -1, world.size() + 1):
            with pytest.raises(InvalidInput, match="as of: expected a size from 1 to"):
                ask(size)
    with pytest.raises(NotFound, match="is not on record at size"):
        place.lineage(late, size=world.size() - 1)


def test_only_a_folder_can_be_asked_for_its_log(world: World, tmp_path: Path) -> None:
    registry = world.registry
    assert registry.is_local
    away = Registry(_Elsewhere(registry.place), registry.keys, registry.cursors)  # type: ignore[arg-type]
    for ask in (
        lambda: away.log,
        lambda: away.folder,
        lambda: away.store,
        away.audit,
        away.verify,
        away.rebuild,
        away.reading,
        lambda: away.add_key("auditor"),
        lambda: away.revoke_key("0" * 64, "retired"),
        lambda: away.export_log(tmp_path / "log"),
    ):
        with pytest.raises(InvalidInput, match="run it where that is served"):
            ask()
    assert not (tmp_path / "log").exists()
    assert away.resolve("chat") == world.ref("chat")
    assert [record.response for record in away.pull("chat", student="lab/pupil", run="first")][:1] == ["chat answer 0"]
    file = messages(tmp_path / "more.jsonl", "more", 3)
    assert away.import_files("messages", [file], teacher="acme/base@1", dataset="more").records == 3
    assert world.put("decision", ask_body(world.ref("lab/other"), world.ref("acme-terms")), "trainer")
    world.check()


class _Elsewhere:
    """A place that answers as a folder does and is none: what verbs need beyond a `Place` fails."""

    def __init__(self, place: Any) -> None:
        for name in ("address", "origin", "genesis", "operator", "policy_text", "objects", "terms"):
            setattr(self, name, getattr(place, name))
        for name in (
            "head", "append", "statement", "receipt", "key", "find", "things", "page", "object", "lines", "shard_file",
            "imported", "doubled", "run", "inputs", "check", "grant", "deliver", "lineage",
        ):  # fmt: skip
            setattr(self, name, getattr(place, name))


def test_every_item_says_its_entry_and_owner() -> None:
    for what in LISTS:
        names = {field.name for field in fields(what)}
        assert {"entry", "party" if what is listing.ListedKey else "owner"} <= names
