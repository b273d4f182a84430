"""The Union's summary: what each field says when everything is on record, and what it says when something is not."""

from typing import Any

import pytest

from inbond.registry.deciding import ask_section, rule_section, settle_section
from inbond.registry.disclosure.document import Label, State
from inbond.registry.operator import set_operator
from tests.registry.disclosure import scene
from tests.registry.disclosure.reading import field, figures, gaps, report, says, states, table
from tests.registry.recount import recount
from tests.registry.world import World

ANSWERS = {
    "0.a": ["Version 1", "There is no earlier version."],
    "1.1.a": ["Lab Models GmbH", "Training content desk", "content-desk@lab.example"],
    "1.2.b": ["None"],
    "1.2.c": ["Pupil 1: 02/10/2026"],
    "1.3.a": ["[Text]"],
    "1.3.b": [
        "In another unit of measurement: 56 rows; a row is one prompt with one answer; the number of tokens is not known of all "
        "of them"
    ],
    "1.3.c": ["Text: answers to test questions, dialogue and source code"],
    "1.3.d": ["08/2026", "Is the model continuously trained on new or dynamic data after that date?", "[No]"],
    "1.3.e": ["Official languages of the Union: English (en) and German (de)", "Other languages: Japanese (ja)"],
    "1.3.f": ["Regions: Europe"],
    "2.1.a": ["[Yes]"],
    "2.1.b": ["[Text]"],
    "2.1.c": ["evals@1; from vendor <https://data.example/evals>"],
    "2.2.1.a": ["[No]"],
    "2.2.2.a": ["[No]"],
    "2.3.a": ["[Yes]"],
    "2.3.b": ["labbot/2"],
    "2.3.c": ["labbot/2: questions for training"],
    "2.3.d": ["labbot/2: obeys robots.txt; no logins, no paywalls"],
    "2.3.e": ["labbot-questions: 02/2026"],
    "2.3.g": ["[Text]"],
    "2.4.a": ["[No]"],
    "2.4.b": ["[Yes]"],
    "2.4.d": ["[Text]"],
    "2.5.a": ["[Yes]"],
    "2.5.b": ["[Text]"],
    "2.5.c": ["acme/base@1 <https://acme.example/base-1>", "acme/coder@2"],
    "2.5.d": ["beta/chat@1: training data: Public web text until 2024."],
    "2.6.a": ["[Yes]"],
    "3.1.a": ["[Yes]"],
    "3.1.b": ["Sources are taken only where their robots.txt allows it.", "Requests are answered weekly."],
    "3.1.c": ["Copyright policy <https://lab.example/copyright>"],
    "3.2.a": ["Hash lists are matched before training."],
    "3.3.a": ["deduplicate with minhash 2: fewer repeats; 20 records removed"],
}


def test_a_summary_of_which_everything_is_on_record_is_complete(told: World) -> None:
    found = report(told)
    assert (found.gaps, found.lints, found.missing, found.is_draft) == ((), (), 0, False)
    assert {id: says(found, id) for id in ANSWERS} == ANSWERS
    assert states(found, State.MISSING) == states(found, State.NOT_KNOWN) == set()
    assert says(found, "2.3.h")[1:] == ["site0.example", "site1.example", "site2.example"]
    assert "24 rows" in says(found, "2.4.c")[0]
    assert field(found, "1.1.b").reason == "the provider is established in the Union (DE)"
    day = told.registry.place.receipt(told.size() - 1).extra
    assert day is not None
    assert len(says(found, "0.b")[0]) == len("21/11/2026")


def test_every_filled_field_names_entries_before_the_size(told: World) -> None:
    found = report(told)
    for id in states(found, State.FILLED) - {"0.a"}:
        rests = [*field(found, id).evidence, *field(found, id).figures]
        assert rests, id
        assert all(seq < found.tree_size for each in rests for seq in each.entries), id
        assert all(each.count >= len(each.entries) for each in rests)
    named = {query.name for query in found.queries}
    assert named == {each.query for one in found.fields().values() for each in (*one.evidence, *one.figures)}
    claimed = {each.query for one in found.fields().values() for each in one.evidence if each.label is Label.CLAIMED}
    assert claimed == {name for name in named if name.endswith(".declared") or name == "ancestry.weights"}


def test_figures_are_those_of_a_recount(told: World) -> None:
    found, student = report(told), told.ref("lab/pupil", "student")
    parts, shards = recount(told, student, told.size())
    own = {shard for name in ("chat", "code", "judged") for shard, *_ in told.parts(name)}
    expected: dict[str, int] = {}
    for (stage, teacher, role), part in parts.items():
        if teacher and {shard for shard, _ in part.rows} & own:
            name = told.registry.called([teacher])[teacher]
            expected[f"rows of {name}, {role}, {stage}"] = len(part.rows)
            expected[f"samples of {name}, {role}, {stage}"] = part.samples
            if (tokens := part.tokens(shards)) is not None:
                expected[f"tokens of {name}, {role}, {stage}"] = tokens
    assert figures(found, "2.5.e") == expected
    everything = {row for part in parts.values() for row in part.rows}
    public = {row for row in everything if row[0] in {shard for shard, *_ in told.parts("evals")}}
    assert figures(found, "1.3.b") == {"rows of text given": len(everything)}
    assert figures(found, "2.1.e") == {
        "rows of evals@1": len(public),
        "rows of all training data": len(everything),
        "rows of all public datasets": len(public),
        "rows of public datasets by beta/chat@1": len(public),
    }
    assert table(found, "2.1.e", "Models whose") == [("beta/chat@1", 6, "10.7 % of 56")]
    assert all(each.tree_size == told.size() for one in found.fields().values() for each in one.figures)


def test_each_teacher_has_its_roles_shares_period_access_terms_and_verdict(told: World) -> None:
    found = report(told)
    assert table(found, "2.5.e", "How much") == [
        ("acme/base@1", "sft, response", 30, "65.2 % of 46", 60, "69.8 % of 86", "not known"),
        ("acme/coder@2", "preference, judge", 10, "100 % of 10", 10, "100 % of 10", 200),
        ("acme/coder@2", "sft, response", 10, "21.7 % of 46", 20, "23.3 % of 86", "not known"),
        ("beta/chat@1", "preference, response", 10, "100 % of 10", 10, "100 % of 10", 200),
    ]
    assert table(found, "2.5.e", "How each") == [
        (
            "acme/base@1", "05/2026 to 08/2026", "api", "yes, as of 01/11/2026; summary linked, checked 02/11/2026",
            "acme-terms@2026-01-01", "permitted",
        ),
        (
            "acme/coder@2", "05/2026 to 08/2026", "api", "yes, as of 01/11/2026; no summary found on 02/11/2026",
            "acme-terms@2026-01-01", "permitted",
        ),
        ("beta/chat@1", "05/2026 to 08/2026", "api", "no, as of 01/11/2026", "beta-licence@2025-03-01", "permitted"),
    ]  # fmt: skip
    documents = table(found, "2.5.e", "The terms")
    assert [row[:2] for row in documents] == [("acme-terms@2026-01-01", "01/01/2026"), ("beta-licence@2025-03-01", "01/03/2025")]
    assert documents[0][2] == told.body(told.ref("acme-terms")).text


LOST = {"unknown": "not_declared"}
TAKEN: list[tuple[str, dict[str, Any], list[tuple[str, str]]]] = [
    ("party:lab", {"legal_name": LOST}, [("1.1.a", "party.legal_name")]),
    ("party:lab", {"domicile": LOST}, [("1.1.b", "party.domicile")]),
    ("release", {"eu_market": LOST}, [("1.2.c", "eu_market")]),
    ("release", {"continuous": LOST}, [("1.3.d", "continuous")]),
    ("chat", {"content": LOST}, [("1.3.c", "content.types"), ("1.3.e", "content.languages")]),
    ("chat", {"generated": LOST}, [("1.3.d", "generated"), ("2.5.e", "generated")]),
    ("acme/base@1", {"summary": LOST}, [("2.5.c", "summary")]),
    ("acme/base@1", {"eu_market": LOST}, [("2.5.c", "eu_market")]),
    ("acme/base@1", {"version": LOST}, [("2.5.c", "version")]),
    ("beta/chat@1", {"training_note": LOST}, [("2.5.d", "training_note")]),
    ("user-prompts", {"user_service": LOST}, [("2.4.c", "user_service")]),
    ("labbot-questions", {"crawler": LOST}, [("2.3.b", "crawler")]),
    ("labbot-questions", {"collected": LOST}, [("2.3.e", "collected")]),
    ("annotators", {"content": LOST}, [("2.6.b", "content")]),
    ("operator", {"code_of_practice_signatory": LOST}, [("3.1.a", "code_of_practice_signatory")]),
    ("operator", {"opt_out_measures": LOST}, [("3.1.b", "opt_out_measures")]),
    ("operator", {"illegal_content_measures": LOST}, [("3.2.a", "illegal_content_measures")]),
    ("evals", {"public": LOST}, [("2.5.a", "decision route_section")]),
    ("chat", {"prompts": LOST}, [("2.4.a", "prompts")]),
    ("chat", {"created_by": LOST}, [("2.5.a", "decision route_section")]),
]


def things(world: World, name: str) -> list[str]:
    """The things that a name of the table stands for: every shard of a dataset, the release, the operator."""
    if name in ("chat", "evals"):
        return [shard for shard, *_ in world.parts(name)]
    if name in ("release", "operator"):
        return [row["ref"] for row in world.rows()["things"] if row["kind"] == name and row["amends"] is None]
    return [name]


def test_facts_that_are_taken_away_are_missing_with_the_commands_that_supply_them(told: World) -> None:
    names = {"acme/base@1": told.ref("acme/base@1")}
    for thing, facts, expected in TAKEN:
        for ref in things(told, names.get(thing, thing)):
            told.registry.declare(ref, facts, correct=True)
        found = report(told)
        for id, fact in expected:
            assert fact in {gap.fact for gap in gaps(found, id)}, (thing, facts)
            assert field(found, id).state is State.MISSING
            assert all(gap.supply.startswith("inbond ") and gap.about for gap in gaps(found, id))
        assert found.missing == sum(gap.required for gap in found.gaps) > 0
        assert found.is_draft


def test_what_is_recorded_as_lost_is_not_known_and_no_gap(told: World) -> None:
    lost = {"unknown": "lost"}
    for shard, *_ in told.parts("chat"):
        told.registry.declare(shard, {"generated": lost, "acquired": lost}, correct=True)
    found = report(told)
    assert (gaps(found, "1.3.d"), gaps(found, "2.5.e")) == ([], [])
    assert says(found, "1.3.d")[0] == "08/2026 at the earliest; not known of 3 shards"
    assert [row[1] for row in table(found, "2.5.e", "How each")] == ["not known", "05/2026 to 08/2026", "05/2026 to 08/2026"]


def test_no_is_not_said_while_anything_is_open(told: World) -> None:
    scene_run = told.registry.pull("code", student="lab/pupil", run="open-ended")
    next(iter(scene_run))
    found = report(told)
    for id in ("2.2.1.a", "2.2.2.a", "2.4.a"):
        assert field(found, id).state is State.MISSING
        assert "1 run may have read other data too" in str(field(found, id).reason)
    for id in ("2.1.a", "2.3.a", "2.4.b", "2.5.a", "2.6.a"):
        assert says(found, id) == ["[Yes]"]
    [gap] = gaps(found, "1.3.b")
    assert gap.supply == f"inbond run close {told.ref('open-ended')[:16]} --inputs-complete yes --outcome OUTCOME"
    told.registry.close_run("open-ended", "kept")
    [gap] = gaps(report(told), "1.3.b")
    assert gap.supply == f"inbond run close {told.ref('open-ended')[:16]} --inputs-complete yes"
    told.registry.close_run("open-ended", complete=True)
    assert not report(told).is_draft


def test_a_run_that_read_a_source_beside_the_registry(told: World) -> None:
    registry = told.registry
    registry.close_run("more", complete=True, inputs={"annotators": 500})
    found = report(told)
    assert "Beside them" not in " ".join(says(found, "1.3.b"))  # its prompts are in shards
    scene.add_source(registry, "web-corpus", "public", {"url": "https://corpus.example/", "version": "3"})
    registry.close_run("likes", complete=True, inputs={"web-corpus": 9000})
    found = report(told)
    assert says(found, "1.3.b")[1] == "Beside them 9,000 rows of web-corpus"
    assert says(found, "2.1.c") == ["web-corpus 3 <https://corpus.example/>"]
    assert says(found, "2.1.d")[0].startswith("evals@1: text; content: answers to test questions; languages: English (en)")


def test_one_ruling_on_a_dataset_settles_its_shards_and_is_the_evidence(told: World) -> None:
    for shard, *_ in told.parts("chat"):
        told.registry.declare(shard, {"created_by": LOST}, correct=True)
    [gap] = [gap for gap in gaps(report(told), "2.5.a") if gap.fact.startswith("decision")]
    assert gap.about == "3 shards of chat@1"
    assert gap.supply == "inbond decide rule --student lab/pupil@1 --about chat@1 --section SECTION --grounds TEXT"
    asked = ask_section(told.registry, "lab/pupil", ["chat"], None, "who made it?")
    [gap] = [gap for gap in gaps(report(told), "2.5.a") if gap.fact.startswith("decision")]
    assert gap.supply == f"inbond decide rule {asked.ref.partition(':')[2][:12]} --section SECTION --grounds TEXT"
    found = report(told)
    assert "Not settled: whether outputs of acme/base@1 belong to this section. They are counted below." in says(found, "2.5.e")
    ruled = rule_section(told.registry, asked.ref, "2.5", "we did")
    found = report(told)
    assert not found.gaps
    assert ruled.seq in {seq for each in field(found, "2.5.a").evidence for seq in each.entries}
    assert "acme/base@1 <https://acme.example/base-1>" in says(found, "2.5.c")
    before = report(told, size=ruled.seq)
    assert [gap.fact for gap in gaps(before, "2.5.a")] == ["decision route_section"]


def test_a_later_ruling_on_a_shard_counts_for_it_alone(told: World) -> None:
    shards = [shard for shard, *_ in told.parts("chat")]
    for shard in shards:
        told.registry.declare(shard, {"created_by": LOST}, correct=True)
    settle_section(told.registry, "lab/pupil", ["chat"], None, "2.5", "ours")
    settle_section(told.registry, "lab/pupil", [shards[0]], None, "2.2.2", "bought")
    found = report(told)
    assert says(found, "2.2.2.a") == ["[Yes]"]
    assert says(found, "2.2.2.d") == [
        "Dataset 1: text; content: dialogue and source code; languages: German (de), English (en) and Japanese (ja); "
        "collected: 05/2026 to 08/2026; 12 rows"
    ]
    assert table(found, "2.5.e", "How much")[0][:4] == ("acme/base@1", "sft, response", 18, "39.1 % of 46")


def test_a_ruling_that_the_facts_overtake_is_not_followed_and_is_pointed_out(told: World) -> None:
    settle_section(told.registry, "lab/pupil", ["chat"], None, "2.1", "it is public, is it not?")
    found = report(told)
    assert says(found, "2.5.c")[0].startswith("acme/base@1")
    assert [lint.field for lint in found.lints] == ["2.5.a"] * 3
    assert "rules shard:" in found.lints[0].text
    assert not gaps(found, "2.5.a")


@pytest.mark.parametrize(("section", "listed"), [("2.5", True), ("none", False)])
def test_a_verifier_is_asked_about_apart(world: World, section: str, listed: bool) -> None:
    set_operator(world.registry, scene.OPERATOR)
    for shard, *_ in world.parts("code"):
        world.registry.declare(shard, {**scene.OWN, "prompts": {"na": "not_applicable_to_kind"}})
    scene.judged(world, "filter")
    world.registry.add_terms(b"Do.\n", party="beta", title="beta-terms", effective="2025-01-01")
    world.permit(world.ref("lab/pupil", "student"), world.ref("beta-terms"))
    for _ in world.registry.pull("judged", student="lab/pupil", run="filtered"):
        pass
    found = report(world)
    [gap] = gaps(found, "2.5.a")
    assert gap.about == "acme/coder@2 in 1 shard of judged@1"
    assert gap.supply == (
        "inbond decide rule --student lab/pupil@1 --about judged@1 --model acme/coder@2 --section SECTION --grounds TEXT"
    )
    settle_section(world.registry, "lab/pupil", ["judged"], "acme/coder@2", section, "thought about")
    found = report(world)
    assert not gaps(found, "2.5.a")
    named = {row[0] for row in table(found, "2.5.e", "How much")}
    assert named == ({"acme/coder@2", "beta/chat@1"} if listed else {"beta/chat@1"})
    assert {gap.about for gap in gaps(found, "2.5.c")} >= named


def test_a_public_dataset_is_large_by_either_measure(world: World) -> None:
    scene.public(world, 1)
    more = {
        "created_by": "third_party",
        "public": {"since": "2025-06-01", "url": "https://data.example/big"},
        "content": scene.CONTENT,
    }
    file = scene.messages(world.folder.parent / "big.jsonl", "big", 20)
    world.registry.import_files("messages", [file], teacher="acme/base@1", dataset="big", facts=more)
    world.registry.add_terms(b"Do.\n", party="beta", title="beta-terms", effective="2025-01-01")
    world.permit(world.ref("lab/pupil", "student"), world.ref("beta-terms"))
    for _ in world.registry.pull("chat", "code", "evals", "big", student="lab/pupil", run="all"):
        pass
    found = report(world)
    assert table(found, "2.1.e", "Sizes") == [
        ("big@1", 20, "32.8 % of 61", "95.2 % of 21", "yes, by share of all and of public"),
        ("evals@1", 1, "1.6 % of 61", "4.8 % of 21", "yes, by share of public"),
    ]
    assert "(61) or of those of all public datasets (21)" in " ".join(says(found, "2.1.e"))


def test_outputs_of_somebody_elses_public_set_are_no_synthetic_data_of_ones_own(world: World) -> None:
    scene.public(world)
    world.registry.add_terms(b"Do.\n", party="beta", title="beta-terms", effective="2025-01-01")
    world.permit(world.ref("lab/pupil", "student"), world.ref("beta-terms"))
    for _ in world.registry.pull("evals", student="lab/pupil", run="all"):
        pass
    world.registry.close_run("all", "kept", complete=True)
    found = report(world)
    assert (says(found, "2.1.a"), says(found, "2.5.a")) == (["[Yes]"], ["[No]"])
    assert field(found, "2.5.c").state is State.NOT_APPLICABLE
    assert {each.query for each in field(found, "2.5.a").evidence} == {"runs.closed", "shards.declared"}


def test_weights_and_outputs_are_two_kinds_of_dependency(lived: World) -> None:
    found = report(lived, student="lab/grandpupil")
    [gap] = gaps(found, "1.2.b")
    assert (gap.about, gap.fact) == ("lab/pupil@1", "eu_market")
    lived.registry.declare(
        "teacher:lab/pupil@1", {"eu_market": scene.MARKET, "summary": {"url": "https://a.example/s", "checked": "2026-11-02"}}
    )
    for shard, *_ in lived.parts("second"):
        lived.registry.declare(shard, {"created_by": "operator"})
    found = report(lived, student="lab/grandpupil")
    assert says(found, "1.2.b") == ["lab/pupil@1 (adapter) <https://a.example/s>"]
    assert says(found, "2.5.c") == ["lab/pupil@1 <https://a.example/s>"]
    lived.registry.declare("teacher:lab/pupil@1", {"eu_market": {"value": False, "as_of": "2026-11-02"}}, correct=True)
    found = report(lived, student="lab/grandpupil")
    assert says(found, "1.2.b") == ["None", "lab/pupil@1 (adapter) was not on the Union market when checked on 02/11/2026"]
    [words] = says(found, "2.5.d")
    assert words.startswith("lab/pupil@1: a model of this provider, trained on 40 rows of outputs of acme/")


def test_tokens_fill_the_box_where_all_are_known(world: World) -> None:
    scene.public(world)
    scene.judged(world)
    world.permit(world.ref("lab/pupil", "student"), world.ref("acme-terms"))
    world.registry.add_terms(b"Do.\n", party="beta", title="beta-terms", effective="2025-01-01")
    world.permit(world.ref("lab/pupil", "student"), world.ref("beta-terms"))
    for _ in world.registry.pull("judged", student="lab/pupil", run="all", epochs=2):
        pass
    found = report(world)
    assert says(found, "1.3.b") == ["[Less than 1 billion tokens]", "200 tokens in 10 rows"]
    assert figures(found, "1.3.b") == {"rows of text given": 10, "tokens of text given": 200}
    assert says(found, "1.3.g") == ["Where tokens are stated, they are counted with the tokenizer of beta/chat@1."]


def test_a_release_without_its_day_on_the_market_is_declared_not_made_again(lived: World) -> None:
    [released] = [row["ref"] for row in lived.rows()["releases"]]
    [gap] = gaps(report(lived), "1.2.c")
    assert gap.supply == f"inbond declare {released[:20]} --facts FILE"
    lived.registry.declare(gap.supply.split()[2], {"eu_market": "2026-10-02"})
    assert gaps(report(lived), "1.2.c") == []


def test_a_student_that_read_nothing_is_told_what_to_do(world: World) -> None:
    found = report(world, student="lab/other")
    assert gaps(found, "1.3.b")[0].supply == "inbond pull DATASET --student lab/other@1 --run NAME"
    assert not found.released
    assert [gap.supply for gap in gaps(found, "1.2.c")] == ["inbond student release lab/other@1 WEIGHTS --facts FILE"]


def test_lints_find_hedges_and_missing_versions(told: World) -> None:
    told.registry.declare("acme/coder@2", {"model": "coder including others", "version": LOST}, correct=True)
    set_operator(told.registry, {"party": {"contact": "info@lab.example"}})
    found = report(told)
    assert {(lint.field, lint.text.partition(":")[0]) for lint in found.lints} == {
        ("1.1.a", "the contact is a general address"),
        ("2.5.c", "it says 'including', which leaves the list open"),
        ("2.5.c", "it names no version"),
    }
