"""One thing, several statements: the first names it, the newest says what is known."""

import pytest

from inbond.registry import current, names
from inbond.registry.gate import applicable_terms
from inbond.schemas import statements as s
from inbond.schemas.declared import known, unknown
from inbond.schemas.errors import Conflict, InvalidInput, NotFound, PolicyDenied
from inbond.schemas.statements import Verdict
from tests.registry.world import CHAT_ROWS, World, ask_body, messages, student_body


def test_the_newest_statement_is_found_from_any_as_of_any_size(world: World) -> None:
    first = world.ref("lab/pupil", "student")
    sizes, refs = [world.size()], [first]
    for purpose in ("chat", "code"):
        refs.append(world.put("student", world.changed(first, purpose=known(purpose)), "trainer", amends=refs[-1]))
        sizes.append(world.size())
    with world.registry.reading() as reader:
        for ref in refs:
            assert current.first_of(reader.connection, [ref]) == {ref: first}
            for size, newest, purpose in zip(sizes, refs, (unknown(), known("chat"), known("code")), strict=True):
                found, body = current.newest(reader.connection, ref, size)
                assert (found, body.purpose) == (newest, purpose)
            assert current.newest(reader.connection, ref)[0] == refs[-1]
        others = [world.ref("lab/other"), world.ref("acme/base@1")]
        assert current.newest_of(reader.connection, [*refs, *others]) == dict.fromkeys(refs, refs[-1]) | {o: o for o in others}
        with pytest.raises(NotFound, match="at size 3"):
            current.newest(reader.connection, first, 3)
        with pytest.raises(NotFound):
            current.newest(reader.connection, "student:" + "0" * 32)


def test_every_kind_of_body_can_be_read(lived: World) -> None:
    with lived.registry.reading() as reader:
        for row in lived.rows()["things"]:
            ref, body = current.newest(reader.connection, row["ref"], row["seq"] + 1)
            assert ref == row["ref"]
            assert row["seq"] == 0 or body == lived.body(ref)
        operator = current.newest(reader.connection, lived.registry.operator)[1]
        assert isinstance(operator, s.Party)
        assert operator.aliases == ("lab",)


def test_names_mean_the_first_statement_and_are_those_of_the_newest(world: World) -> None:
    party, teacher = world.ref("acme", "party"), world.ref("acme/base@1")
    shard = world.parts("chat")[0][0]
    size = world.size()
    renamed = world.put("party", world.changed(party, aliases=("apex",)), "compliance", amends=party)
    corrected = world.put("teacher", world.changed(teacher, version=known("7")), "producer", amends=teacher)
    world.put("shard", world.changed(shard, acquired=known("2026-01-05")), "producer", amends=shard)
    assert world.ref("apex") == world.ref(renamed) == world.ref(renamed[:20]) == party
    assert world.ref("acme/base@7") == world.ref(corrected) == teacher
    assert world.ref(world.body(shard).file) == shard
    assert world.registry.resolve("acme", size=size) == party
    with pytest.raises(NotFound, match="acme/base@1"):
        world.ref("acme/base@1")
    with world.registry.reading() as reader:
        assert names.names_of(reader.connection, [party, teacher]) == {party: "apex", teacher: "acme/base@7"}
        assert names.names_of(reader.connection, [party, teacher], size) == {party: "acme", teacher: "acme/base@1"}


def test_everything_goes_on_after_a_correction(world: World) -> None:
    """Keys, terms, rulings, runs and imports are about the thing, whatever was declared since."""
    registry = world.registry
    records = iter(registry.pull("chat", student="lab/pupil", run="first", segment=8))
    next(records)
    for name, kind, by, changes in (
        ("acme", "party", "compliance", {"domicile": known("US")}),
        ("lab", "party", "compliance", {"legal_name": known("Lab Ltd")}),
        ("acme-terms", "terms", "compliance", {"url": known("https://acme.example/terms")}),
        ("acme/base@1", "teacher", "producer", {"endpoint": known("https://acme.example/")}),
        ("lab/pupil", "student", "trainer", {"purpose": known("chat")}),
    ):
        ref = world.ref(name, kind)
        with world.registry.reading() as reader:
            body = current.newest(reader.connection, ref)[1]
        changed = type(body)(**{field: getattr(body, field) for field in body.__struct_fields__} | changes)
        world.put(kind, changed, by, amends=ref)
    assert len(list(records)) == CHAT_ROWS - 1
    assert registry.check(["chat"], "lab/pupil").verdict is Verdict.PERMITTED
    with registry.reading() as reader:
        assert applicable_terms(reader.connection, world.ref("acme/base@1")) == [world.ref("acme-terms")]
    assert list(registry.pull("chat", student="lab/pupil", run="first")) == []  # the same run
    file = world.folder.parent / "chat.jsonl"
    assert registry.import_files("messages", [file], teacher="acme/base@1", dataset="chat", max_rows=12).unchanged
    registry.close_run("first", "kept")
    assert len(world.body(registry.release("lab/pupil", b"w").ref).runs) == 1
    registry.add_terms(b"More.", party="acme", title="more", effective="2026-02-01")
    assert registry.check(["chat"], "lab/pupil").verdict is Verdict.NEEDS_AUTHORISATION
    world.check()


def test_a_ruling_about_a_student_is_about_it_as_it_is_known_now(world: World) -> None:
    other = world.ref("lab/other", "student")
    world.put("student", world.changed(other, purpose=known("chat")), "trainer", amends=other)
    with pytest.raises(PolicyDenied):
        world.registry.pull("chat", student="lab/other", run="first")
    ask = world.registry.ask("lab/other", "acme-terms", "please")
    world.registry.rule(ask.ref, "permit", "granted")
    assert len(list(world.registry.pull("chat", student="lab/other", run="first"))) == CHAT_ROWS


def test_statements_refer_to_the_first(world: World) -> None:
    student, terms, teacher = world.ref("lab/pupil"), world.ref("acme-terms"), world.ref("acme/base@1")
    later = world.put("student", world.changed(student, purpose=known("chat")), "trainer", amends=student)
    text = world.put("terms", world.changed(terms, url=known("https://acme.example/")), "compliance", amends=terms)
    model = world.put("teacher", world.changed(teacher, endpoint=known("https://x.example/")), "producer", amends=teacher)
    shard = world.parts("chat")[0][0]
    models = (s.ShardModel(teacher=model, role=s.ModelRole.RESPONSE, rows=unknown()),)
    wrong = [
        world.signed("decision", ask_body(later, terms), "trainer"),
        world.signed("decision", ask_body(student, text), "trainer"),
        world.signed("shard", world.changed(shard, models=models, ordinal=90), "producer"),
        world.signed("student", student_body("new", initialised_from=(world.initialised(later),)), "trainer"),
    ]
    for envelope in wrong:
        world.refuse(envelope, InvalidInput, "which made the thing, found its correction")


def test_a_correction_follows_the_newest_and_keeps_what_names_the_thing(world: World) -> None:
    student, terms, shard = world.ref("lab/pupil"), world.ref("acme-terms"), world.parts("chat")[0][0]
    later = world.put("student", world.changed(student, purpose=known("chat")), "trainer", amends=student)
    world.refuse(
        world.signed("student", world.changed(student, purpose=known("code")), "trainer", amends=student),
        Conflict,
        f"expected to amend {later}, the newest",
    )
    judge = s.ShardModel(teacher=world.ref("beta/chat@1"), role=s.ModelRole.JUDGE, rows=unknown())
    scored = s.ShardModel(teacher=world.ref("acme/base@1"), role=s.ModelRole.LOGITS, rows=unknown())
    wrong = [
        ("student", world.changed(student, id="lab/else"), "trainer", later, "id"),
        ("student", world.changed(student, version="2"), "trainer", later, "version"),
        ("terms", world.changed(terms, text=world.body(shard).file), "compliance", terms, "text"),
        ("terms", world.changed(terms, party=world.ref("vendor")), "compliance", terms, "party"),
        ("shard", world.changed(shard, rows=11), "producer", shard, "rows"),
        ("shard", world.changed(shard, ordinal=8), "producer", shard, "ordinal"),
        ("shard", world.changed(shard, tokens=known(s.Tokens(tokenizer=unknown(), prompt=known(1), response=known(1)))),
         "producer", shard, "tokens"),
        ("shard", world.changed(shard, models=(*world.body(shard).models, judge)), "producer", shard, "the models of"),
        ("shard", world.changed(shard, models=(scored,)), "producer", shard, "the models of"),
    ]  # fmt: skip
    for kind, body, by, amends, text in wrong:
        world.refuse(world.signed(kind, body, by, amends=amends), InvalidInput, f"expected {text}")


def test_a_corrected_shard_is_the_same_rows(world: World) -> None:
    shard = world.parts("chat")[0][0]
    before = world.rows()
    later = world.put("shard", world.changed(shard, acquired=known("2026-01-05")), "producer", amends=shard)
    after = world.rows()
    for table in ("shards", "shard_inputs", "edges", "dataset_parts"):
        assert after[table] == before[table]
    assert [row["ref"] for row in after["things"] if row["amends"]] == [later]
    world.registry.export_dataset("chat", world.folder.parent / "out")
    list(world.registry.pull("chat", student="lab/pupil", run="first"))
    assert world.registry.verify().verdict == "proved"
    messages(world.folder.parent / "x.jsonl", "x", 1)
    world.check()
