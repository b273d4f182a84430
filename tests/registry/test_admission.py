"""What may not stand: each case is refused in the middle of a batch, leaves no row, and the others of the batch stand."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from inbond.ledger.keys import SigningKey
from inbond.registry.mentions import references
from inbond.schemas import statements as s
from inbond.schemas.declared import known, unknown
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import Conflict, InbondError, InvalidInput, NotPermitted, PolicyDenied, VerificationError
from inbond.schemas.scalars import EMPTY_LIST, ObjectList
from tests.registry.scene import NO_OBJECT, Scene, close_body
from tests.registry.world import (
    LONG_AGO,
    World,
    ask_body,
    consume_body,
    rule_body,
    student_body,
)

Case = Callable[[Scene], Envelope]
NOWHERE = "0" * 32
SPARE = SigningKey.generate("run")


@pytest.fixture(scope="module")
def scene(shared_world: World) -> Scene:
    return Scene(shared_world)


WRONG_ROLES: dict[str, tuple[Case, str]] = {
    "party": (lambda c: c.world.signed("party", c.world.body(c.vendor), "producer"), "compliance, found one as producer"),
    "terms": (lambda c: c.world.signed("terms", c.world.body(c.terms), "trainer"), "compliance, found one as trainer"),
    "teacher": (lambda c: c.world.signed("teacher", c.world.body(c.teacher), "compliance"), "producer, found one as compliance"),
    "shard": (lambda c: c.shard_of("trainer"), "producer, found one as trainer"),
    "dataset": (lambda c: c.dataset(c.parts, "registry"), "producer, found one as registry"),
    "student": (lambda c: c.world.signed("student", student_body("x"), "admin"), "trainer, found one as admin"),
    "run": (lambda c: c.opened("x", "producer", c.key, key=c.key), "trainer, found one as producer"),
    "grant": (lambda c: c.granted(by="trainer"), "registry, found one as trainer"),
    "grant by the run's own key": (
        lambda c: c.world.signed("grant", c.world.grant_body(c.run, c.key, c.parts), c.key, party=c.operator),
        "unknown key",
    ),
    "consume by the trainer": (
        lambda c: c.world.signed("consume", consume_body(c.run, c.grant, 10, 20, sequence=1, previous=c.first), "trainer"),
        "run, found one as trainer",
    ),
    "delivery": (lambda c: c.delivery(by="compliance"), "registry, found one as compliance"),
    "release": (lambda c: c.released(c.student, (c.run,), "producer"), "trainer, found one as producer"),
    "rule": (lambda c: c.ruled("registry"), "compliance, found one as registry"),
}


@pytest.mark.parametrize("name", WRONG_ROLES)
def test_a_key_without_the_role_is_refused(scene: Scene, name: str) -> None:
    make, text = WRONG_ROLES[name]
    scene.world.refuse(make(scene), NotPermitted, text)


OTHERS: dict[str, tuple[Case, type[InbondError], str]] = {
    "a run of their student": (lambda c: c.opened("x", student=c.theirs), NotPermitted, "belongs to"),
    "our student's run, their trainer": (
        lambda c: c.opened("x", "vendor-trainer", SPARE, key=SPARE, party=c.vendor),
        NotPermitted,
        "belongs to",
    ),
    "closing our run": (
        lambda c: c.world.signed("run", close_body(c.student, c.run), "vendor-trainer"),
        NotPermitted,
        "belongs to",
    ),
    "releasing our student": (lambda c: c.released(c.student, (), "vendor-trainer"), NotPermitted, "belongs to"),
    "their version of our dataset": (
        lambda c: c.dataset(c.parts, "vendor-producer", previous=c.chat),
        NotPermitted,
        "belongs to",
    ),
    "their teacher is our student": (
        lambda c: c.world.signed("teacher", c.world.changed(c.teacher, same_as_student=c.student), "vendor-producer"),
        NotPermitted,
        "belongs to",
    ),
    "amending our terms": (
        lambda c: c.world.signed("terms", c.world.body(c.terms), "vendor-compliance", amends=c.terms),
        NotPermitted,
        "belongs to",
    ),
    "our word": (
        lambda c: c.world.signed("student", student_body("x"), "vendor-trainer", party=c.operator),
        NotPermitted,
        "asserted_by",
    ),
    "our word, derived": (
        lambda c: c.world.signed("student", student_body("x"), "vendor-trainer", party=c.operator, basis=s.Basis.DERIVED),
        NotPermitted,
        "asserted_by",
    ),
    "the word of a teacher": (
        lambda c: c.world.signed("student", student_body("x"), "trainer", party=c.teacher, basis=s.Basis.ALLEGED),
        InvalidInput,
        "reference to a party",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_partys_object_is_refused(scene: Scene, name: str) -> None:
    make, error, text = OTHERS[name]
    scene.world.refuse(make(scene), error, text)


def test_what_another_party_is_alleged_to_say_may_stand(scene: Scene) -> None:
    vendor = scene.vendor
    ref = scene.world.put("student", student_body("alleged"), "trainer", party=vendor, basis=s.Basis.ALLEGED)
    owners = {row["ref"]: row["owner"] for row in scene.world.rows()["things"]}
    assert owners[ref] == scene.operator  # whose key signed


MISSING: dict[str, tuple[Case, str]] = {
    "party of terms": (
        lambda c: c.world.signed("terms", c.world.changed(c.terms, party=f"party:{NOWHERE}"), "compliance"),
        "party:0",
    ),
    "party of a teacher": (
        lambda c: c.world.signed("teacher", c.world.changed(c.teacher, party=known(f"party:{NOWHERE}")), "producer"),
        "party:0",
    ),
    "teacher of a shard": (
        lambda c: c.shard_of(models=(s.ShardModel(teacher=f"teacher:{NOWHERE}", role=s.ModelRole.RESPONSE, rows=unknown()),)),
        "teacher:0",
    ),
    "shard of a dataset": (lambda c: c.dataset([(f"shard:{NOWHERE}", 0, 1)]), "shard:0"),
    "dataset of a run": (
        lambda c: c.opened(
            "x",
            plan=s.Plan(sources=(s.PlanSource(dataset=f"dataset:{NOWHERE}", split="train", weight="1"),), order="seq-1", seed=0),
        ),
        "dataset:0",
    ),
    "run of a grant": (
        lambda c: c.world.signed("grant", replace(c.world.grant_body(c.run, c.key, c.parts), run=f"run:{NOWHERE}"), "registry"),
        "run:0",
    ),
    "grant of a consumption": (lambda c: c.consume(f"grant:{NOWHERE}"), "grant:0"),
    "student of a decision": (
        lambda c: c.world.signed("decision", ask_body(f"student:{NOWHERE}", c.terms), "trainer"),
        "student:0",
    ),
    "ask of a ruling": (lambda c: c.ruled(ask=f"decision:{NOWHERE}"), "decision:0"),
    "run of a release": (lambda c: c.released(c.student, (f"run:{NOWHERE}",)), "run:0"),
    "what is amended": (
        lambda c: c.world.signed("terms", c.world.body(c.terms), "compliance", amends=f"terms:{NOWHERE}"),
        "terms:0",
    ),
    "itself": (
        lambda c: c.world.signed(
            "dataset", c.world.dataset_body("x", c.parts, previous="dataset:" + "ee" * 16), "producer", id="ee" * 16
        ),
        "dataset:ee",
    ),
    "text of terms": (lambda c: c.world.signed("terms", c.world.changed(c.terms, text=NO_OBJECT), "compliance"), "sha256:1"),
    "file of a shard": (lambda c: c.shard_of(file=NO_OBJECT), "sha256:1"),
    "inputs of a shard": (lambda c: c.shard_of(inputs=ObjectList(digest=NO_OBJECT, root=NO_OBJECT, count=1)), "sha256:1"),
    "parts of a dataset": (lambda c: c.dataset(c.parts, parts=ObjectList(digest=NO_OBJECT, root=NO_OBJECT, count=1)), "sha256:1"),
    "reasons of a grant": (lambda c: c.granted(reasons=ObjectList(digest=NO_OBJECT, root=NO_OBJECT, count=1)), "sha256:1"),
    "inputs of a closing": (
        lambda c: c.world.signed(
            "run", replace(close_body(c.student, c.run), inputs=ObjectList(digest=NO_OBJECT, root=NO_OBJECT, count=1)), "trainer"
        ),
        "sha256:1",
    ),
}


@pytest.mark.parametrize("name", MISSING)
def test_what_does_not_exist_is_refused(scene: Scene, name: str) -> None:
    make, text = MISSING[name]
    scene.world.refuse(make(scene), InvalidInput, text)


def _counts(scene: Scene, **changes: Any) -> Envelope:
    body = scene.world.dataset_body("new", scene.parts)
    return scene.world.signed("dataset", replace(body, counts=replace(body.counts, **changes)), "producer")


WRONG: dict[str, tuple[Case, type[InbondError], str]] = {
    "too many shards": (lambda c: _counts(c, shards=4), InvalidInput, "expected counts"),
    "too few rows": (lambda c: _counts(c, rows=29), InvalidInput, "expected counts"),
    "other splits": (lambda c: _counts(c, splits={"test": 30}), InvalidInput, "expected counts"),
    "a root that is not the list's": (
        lambda c: c.dataset(c.parts, parts=replace(c.world.body(c.chat).parts, root=NO_OBJECT)),
        VerificationError,
        "root",
    ),
    "rows beyond a shard": (lambda c: c.dataset([(c.shard, 0, 13)]), InvalidInput, r"within \[0, 12\)"),
    "no parts": (lambda c: c.dataset([]), InvalidInput, "at least one part"),
    "a teacher as shard": (lambda c: c.dataset([(c.teacher, 0, 1)]), InvalidInput, "shards of text that are on record"),
    "a dataset's name": (
        lambda c: c.world.signed("dataset", c.world.dataset_body("chat", c.parts), "producer"),
        Conflict,
        "chat@1 is on record",
    ),
    "the size of a file": (lambda c: c.shard_of(size=1), InvalidInput, "expected 1 bytes as the statement says"),
    "an ordinal": (lambda c: c.shard_of(ordinal=0), Conflict, "is on record as shard:"),
    "a student as teacher": (
        lambda c: c.shard_of(models=(s.ShardModel(teacher=c.student, role=s.ModelRole.RESPONSE, rows=unknown()),)),
        InvalidInput,
        "reference to a teacher",
    ),
    "a teacher as party": (
        lambda c: c.world.signed("teacher", c.world.changed(c.teacher, party=known(c.student)), "producer"),
        InvalidInput,
        "reference to a party",
    ),
    "a party as ancestor": (
        lambda c: c.world.signed(
            "teacher",
            c.world.changed(
                c.teacher, ancestry=known((s.Ancestor(model=c.vendor, edge=s.Edge.INITIALISED_FROM, basis=s.Basis.ALLEGED),))
            ),
            "producer",
        ),
        InvalidInput,
        "reference to a teacher or student",
    ),
    "a student's name": (
        lambda c: c.world.signed("student", student_body("lab/pupil"), "trainer"),
        Conflict,
        "lab/pupil@1 is on record",
    ),
    "a party's weights": (lambda c: c.initialised_from(c.vendor), InvalidInput, "reference to a teacher or student"),
    "amending another kind": (
        lambda c: c.world.signed("student", student_body("x"), "trainer", amends=c.terms),
        InvalidInput,
        "to amend a student",
    ),
    "a run's name": (lambda c: c.opened("scene"), Conflict, "called scene"),
    "a run without its key": (lambda c: c.opened("x", "trainer"), NotPermitted, "signature of its run key"),
    "a run's key for another run": (lambda c: c.opened("x", key=c.key), InvalidInput, "signs another run"),
    "an enrolled key as run key": (
        lambda c: c.opened("x", "trainer", key=c.world.key("trainer")),
        InvalidInput,
        "found the enrolled key",
    ),
    "an unknown order": (
        lambda c: c.opened(
            "x", plan=s.Plan(sources=(s.PlanSource(dataset=c.chat, split="train", weight="1"),), order="shuffle-1", seed=0)
        ),
        InvalidInput,
        "expected order seq-1",
    ),
    "a weight": (
        lambda c: c.opened(
            "x", plan=s.Plan(sources=(s.PlanSource(dataset=c.chat, split="train", weight="2"),), order="seq-1", seed=0)
        ),
        InvalidInput,
        "expected weight 1",
    ),
    "a split without rows": (
        lambda c: c.opened(
            "x", plan=s.Plan(sources=(s.PlanSource(dataset=c.chat, split="test", weight="1"),), order="seq-1", seed=0)
        ),
        InvalidInput,
        "at least one row",
    ),
    "closing twice": (
        lambda c: c.world.signed("run", close_body(c.student, c.closed), "trainer"),
        Conflict,
        "was closed by entry",
    ),
    "closing for another student": (
        lambda c: c.world.signed("run", close_body(c.other, c.run), "trainer"),
        InvalidInput,
        "expected student",
    ),
    "a release by another student's run": (lambda c: c.released(c.other, (c.run,)), InvalidInput, "expected runs of"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_as_it_says_is_refused(scene: Scene, name: str) -> None:
    make, error, text = WRONG[name]
    scene.world.refuse(make(scene), error, text)


def _undecided(scene: Scene) -> Envelope:
    """A grant for a student about whom nobody has decided."""
    run, key = scene.world.run(scene.other, "undecided", scene.chat)
    return scene.world.signed("grant", scene.world.grant_body(run, key, scene.parts), "registry")


def _granted_after_close(scene: Scene) -> Envelope:
    return scene.world.signed("grant", scene.world.grant_body(scene.closed, scene.closed_key, scene.parts), "registry")


def _other_request(scene: Scene) -> Envelope:
    body = scene.world.grant_body(scene.run, scene.key, scene.parts)
    return scene.world.signed("grant", replace(body, columns=("salt",)), "registry")


GRANTS: dict[str, tuple[Case, type[InbondError], str]] = {
    "without a decision": (_undecided, PolicyDenied, "no decision of compliance"),
    "other parts than the plan": (
        lambda c: c.world.signed("grant", c.world.grant_body(c.run, c.key, c.parts[:2]), "registry"),
        InvalidInput,
        "parts of the plan",
    ),
    "parts in another order": (
        lambda c: c.world.signed("grant", c.world.grant_body(c.run, c.key, c.parts[::-1]), "registry"),
        InvalidInput,
        "parts of the plan",
    ),
    "more rows than the plan": (
        lambda c: c.world.signed("grant", c.world.grant_body(c.run, c.key, [*c.parts, *c.world.parts("code")]), "registry"),
        InvalidInput,
        "parts of the plan",
    ),
    "a request that served": (lambda c: c.granted(request_id="ab" * 16), Conflict, "serves once"),
    "a request by another key": (lambda c: c.granted(request_key=c.world.key("trainer")), NotPermitted, "expected"),
    "other columns than requested": (_other_request, InvalidInput, "of its request"),
    "another plan": (lambda c: c.granted(plan=NO_OBJECT), InvalidInput, "expected plan"),
    "another student": (lambda c: c.granted(student=c.other), InvalidInput, "expected plan, student"),
    "another principal": (lambda c: c.granted(principal=c.vendor), InvalidInput, "expected plan, student"),
    "unknown rules": (
        lambda c: c.granted(evaluated=s.Evaluated(facts_size=1, rules=NO_OBJECT, at=LONG_AGO)),
        InvalidInput,
        "expected rules",
    ),
    "another verdict": (
        lambda c: c.granted(verdict=s.Verdict.PERMITTED_WITH_OBLIGATIONS),
        InvalidInput,
        "expected verdict permitted",
    ),
    "without its decisions": (lambda c: c.granted(decisions=()), InvalidInput, "expected verdict permitted by"),
    "for a closed run": (_granted_after_close, Conflict, "was closed by entry"),
}


@pytest.mark.parametrize("name", GRANTS)
def test_a_grant_says_what_the_gate_says_of_the_plan(scene: Scene, name: str) -> None:
    make, error, text = GRANTS[name]
    scene.world.refuse(make(scene), error, text)


CONSUMPTIONS: dict[str, tuple[Case, type[InbondError], str]] = {
    "sequence ahead": (lambda c: c.consume(sequence=2), Conflict, "expected segment 1"),
    "sequence again": (lambda c: c.consume(sequence=0, previous=UNSET), Conflict, "expected segment 1"),
    "without previous": (lambda c: c.consume(previous=UNSET), Conflict, "found segment 1 after none"),
    "another previous": (lambda c: c.consume(previous=c.student), Conflict, "found segment 1 after student"),
    "beyond the plan": (lambda c: c.consume(first=25, last=31), InvalidInput, r"within \[0, 30\)"),
    "rows that are not there": (lambda c: c.consume(rows=9), InvalidInput, r"rows \+ dropped of 10"),
    "rows dropped beside": (lambda c: c.consume(dropped=1), InvalidInput, r"rows \+ dropped of 10"),
    "an expired grant": (lambda c: c.consume(c.expired), PolicyDenied, f"expired at {LONG_AGO}"),
    "another run's grant": (lambda c: c.consume(c.closed_grant), NotPermitted, "was given to"),
    "a dataset as grant": (lambda c: c.consume(c.chat), InvalidInput, "reference to a grant"),
    "delivered without a grant": (lambda c: c.consume(grant_off=True), PolicyDenied, "retrospective or claimed"),
    "spooled without a grant": (
        lambda c: c.consume(grant_off=True, state=s.ConsumeState.SPOOLED),
        PolicyDenied,
        "without a grant",
    ),
    "by another run's key": (
        lambda c: c.world.signed(
            "consume", consume_body(c.run, c.grant, 10, 20, sequence=1, previous=c.first), c.closed_key, party=c.operator
        ),
        NotPermitted,
        "unknown key",
    ),
    "after close": (
        lambda c: c.world.signed("consume", consume_body(c.closed, c.closed_grant, 0, 10), c.closed_key, party=c.operator),
        NotPermitted,
        "was closed by entry",
    ),
    "of a run that is none": (
        lambda c: c.world.signed("consume", consume_body(c.student, c.grant, 0, 10), c.key, party=c.operator),
        NotPermitted,
        "unknown key",
    ),
}


@pytest.mark.parametrize("name", CONSUMPTIONS)
def test_a_segment_follows_the_last_one_within_plan_and_grant(scene: Scene, name: str) -> None:
    make, error, text = CONSUMPTIONS[name]
    scene.world.refuse(make(scene), error, text)


def test_what_happened_outside_the_gate_can_be_put_on_record(world: World) -> None:
    scene = Scene(world)
    outside = {"state": s.ConsumeState.RETROSPECTIVE, "sequence": 1, "previous": scene.first}
    ref = world.consume(scene.run, scene.key, None, 10, 30, **outside)
    world.consume(scene.run, scene.key, scene.expired, 0, 5, sequence=2, previous=ref, epoch=1, state=s.ConsumeState.SPOOLED)
    world.check()


def test_a_run_ends_in_the_middle_of_a_batch(world: World) -> None:
    scene = Scene(world)
    close = world.signed("run", close_body(scene.student, scene.run), "trainer")
    closed, late = world.send(close, scene.consume())
    assert isinstance(late, NotPermitted)
    assert not isinstance(closed, InbondError)
    world.check()


DELIVERIES: dict[str, tuple[Case, type[InbondError], str]] = {
    "of a student": (lambda c: c.delivery(object=c.student), InvalidInput, "reference to a dataset or shard"),
    "to a teacher": (lambda c: c.delivery(recipient=known(c.teacher)), InvalidInput, "reference to a party"),
    "under a grant for a stream": (
        lambda c: c.delivery(grant=c.grant),
        NotPermitted,
        "is of mode stream: expected one of mode export",
    ),
    "of rows under a grant for whole shards": (
        lambda c: c.delivery(extent=s.Extent.ROWS),
        NotPermitted,
        "is of mode export: expected one of mode rows",
    ),
    "of whole shards under a grant for rows": (
        lambda c: c.delivery(grant=c.world.grant(c.run, c.key, c.parts, mode=s.GrantMode.ROWS)),
        NotPermitted,
        "is of mode rows: expected one of mode export",
    ),
    "of rows of a shard": (
        lambda c: c.delivery(object=c.shard, grant=UNSET, extent=s.Extent.ROWS),
        InvalidInput,
        "reference to a dataset",
    ),
    "of rows that the plan does not read": (
        lambda c: c.delivery(
            object=c.code, extent=s.Extent.ROWS, grant=c.world.grant(c.run, c.key, c.parts, mode=s.GrantMode.ROWS)
        ),
        NotPermitted,
        "does not cover dataset:",
    ),
    "of what the plan does not read": (lambda c: c.delivery(object=c.code), NotPermitted, "does not cover shard:"),
    "of a shard that the plan does not read": (
        lambda c: c.delivery(object=c.world.parts("code")[0][0]),
        NotPermitted,
        "does not cover shard:",
    ),
    "for a closed run": (lambda c: c.delivery(grant=c.closed_grant), Conflict, "was closed by entry"),
    "under an expired grant": (
        lambda c: c.delivery(grant=c.world.grant(c.run, c.key, c.parts, mode=s.GrantMode.EXPORT, expires=LONG_AGO)),
        PolicyDenied,
        "expired at",
    ),
}


@pytest.mark.parametrize("name", DELIVERIES)
def test_a_delivery_stays_within_its_grant(scene: Scene, name: str) -> None:
    make, error, text = DELIVERIES[name]
    scene.world.refuse(make(scene), error, text)


def _two_asked(scene: Scene) -> Envelope:
    """An ask by two keys, ruled on by the second of them."""
    ask = scene.world.put("decision", ask_body(scene.other, scene.terms), "trainer", "compliance")
    return scene.ruled(ask=ask)


def _asked_by_compliance(scene: Scene) -> Envelope:
    return scene.ruled(ask=scene.world.put("decision", ask_body(scene.other, scene.terms), "compliance"))


def _unseen(scene: Scene) -> Envelope:
    seen = scene.world.registry.recorder.seen()
    ask = scene.world.put("decision", ask_body(scene.other, scene.terms), "trainer")
    return scene.ruled(ask=ask, seen=seen)


def _on_a_ruling(scene: Scene) -> Envelope:
    rule = scene.world.permit(scene.student, scene.terms)
    return scene.ruled(ask=rule, subjects=(scene.student, scene.terms))


DECISIONS: dict[str, tuple[Case, type[InbondError], str]] = {
    "by the key that asked": (_asked_by_compliance, NotPermitted, "by another key"),
    "by one of the keys that asked": (_two_asked, NotPermitted, "by another key"),
    "without having seen the ask": (_unseen, NotPermitted, "had seen the ask"),
    "on a ruling": (_on_a_ruling, InvalidInput, "a ruling on an ask"),
    "on other subjects": (lambda c: c.ruled(subjects=(c.student, c.terms)), InvalidInput, "question and subjects"),
    "on fewer subjects": (lambda c: c.ruled(subjects=(c.other,)), InvalidInput, "question and subjects"),
    "on another question": (
        lambda c: c.world.signed("decision", rule_body(c.ask, c.other, c.terms, question=s.Question.EXCEPTION), "compliance"),
        InvalidInput,
        "question and subjects",
    ),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_a_ruling_is_by_another_who_has_seen_the_ask(scene: Scene, name: str) -> None:
    make, error, text = DECISIONS[name]
    scene.world.refuse(make(scene), error, text)


NO_FLOW: dict[str, Any] = {
    "live_use": lambda c: s.LiveUse(
        run=c.run,
        models=(s.LiveModel(teacher=c.teacher, role=s.ModelRole.JUDGE),),
        requests=unknown(),
        tokens=unknown(),
        acceptances=unknown(),
    ),
    "erasure": lambda c: s.Erasure(targets=EMPTY_LIST, legal_basis="none", copies=()),
}


@pytest.mark.parametrize("kind", NO_FLOW)
def test_kinds_without_a_flow_are_refused(scene: Scene, kind: str) -> None:
    by = {"live_use": "trainer", "recall": "compliance", "erasure": "compliance"}[kind]
    scene.world.refuse(scene.world.signed(kind, NO_FLOW[kind](scene), by), InvalidInput, "no flow in this version")


def test_a_key_belongs_to_a_party(scene: Scene) -> None:
    key = SigningKey.generate("new")
    body = s.Key(
        public_key=key.public.base64,
        fingerprint=key.public.fingerprint,
        party=scene.student,
        roles=("auditor",),
        custody=s.Custody.FILE,
    )
    scene.world.refuse(scene.world.signed("key", body, "admin", key), InvalidInput, "reference to a party")


def test_a_revoked_key_signs_nothing(world: World) -> None:
    key = world.key("producer")
    world.registry.revoke_key(key.public.fingerprint[:12], "compromised")
    body = world.dataset_body("late", world.parts("chat"))
    world.refuse(world.signed("dataset", body, key), NotPermitted, "was revoked by entry")
    fresh = world.registry.add_key("producer")
    assert fresh.seq == world.size() - 1
    world.dataset("in-time", world.parts("chat"))
    world.check()
    assert world.registry.verify().verdict == "proved"


def test_a_statement_may_name_a_model_twice(world: World) -> None:
    """Two relations to one model are one edge; the batch they are in stands."""
    teacher = world.ref("acme/base@1")
    edges = [(s.Edge.INITIALISED_FROM, s.Basis.DECLARED), (s.Edge.INITIALISED_FROM, s.Basis.ALLEGED)]
    ancestors = tuple(s.Ancestor(model=teacher, edge=edge, basis=basis) for edge, basis in edges)
    two = world.put("teacher", world.changed(teacher, model=known("twice"), ancestry=known(ancestors)), "producer")
    origins = [world.initialised(teacher, relation) for relation in (s.Relation.ADAPTER, s.Relation.MERGE)]
    student = world.student("twice", initialised_from=tuple(origins))
    found = {(row["src"], row["dst"]): row["detail"] for row in world.rows()["edges"] if row["src"] in (two, student)}
    assert found == {(two, teacher): "declared", (student, teacher): "adapter"}
    world.check()


def test_references_are_found_wherever_they_are(scene: Scene) -> None:
    assert references(scene.world.body(scene.run)) == {scene.student, scene.chat}
    assert scene.teacher in references(scene.world.body(scene.shard))
    assert references({"a": [f"shard:{NOWHERE}", {"b": f"x:{NOWHERE}"}, "shard:short"]}) == {f"shard:{NOWHERE}", f"x:{NOWHERE}"}


def test_a_shard_made_from_shards_keeps_their_teachers(world: World) -> None:
    """A filter that names another model alone would carry rows past the terms of those who wrote them."""
    source, other = world.parts("beta")[0][0], world.parts("chat")[0][0]

    def derived(*lines: dict[str, Any], ordinal: int = 70, **changes: Any) -> Envelope:
        of = {"derived_from": world.registry.store.put_lines(lines), "ordinal": ordinal} | changes
        return world.signed("shard", world.changed(other, **of), "producer")

    line = {"shard": source, "rows": [[0, 5]]}
    world.refuse(derived(line), InvalidInput, "expected its models too")
    world.refuse(derived({**line, "rows": [[0, 6]]}), InvalidInput, r"expected rows within \[0, 5\)")
    world.refuse(derived({**line, "shard": f"shard:{NOWHERE}"}), InvalidInput, "expected shards that are on record")
    wrong = replace(world.registry.store.put_lines([line]), count=7)
    world.refuse(derived(derived_from=wrong), VerificationError, "expected 7 lines")
    judge = s.ShardModel(teacher=world.ref("beta/chat@1"), role=s.ModelRole.FILTER, rows=unknown())
    world.send(derived(line, models=(*world.body(other).models, judge)))
    world.check()
