import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from inbond.registry import facts
from inbond.schemas import canonical
from inbond.schemas import statements as s
from inbond.schemas.declared import Declared, Reason, known, not_applicable, unknown
from inbond.schemas.errors import InvalidInput, NotFound
from inbond.schemas.kinds import KINDS
from inbond.schemas.scalars import EMPTY_LIST, FlopMethod

REF = "teacher:" + "ab" * 16
SOURCE = "source:" + "cd" * 16
DIGEST = "sha256:" + "0" * 64
MEASURED: dict[str, Any] = {
    "kind": s.ShardKind.TEXT,
    "file": DIGEST,
    "size": 10,
    "block_root": DIGEST,
    "record_root": DIGEST,
    "rows": 3,
    "tokens": unknown(Reason.NOT_RECORDED_BY_SOURCE),
    "schema_id": DIGEST,
    "codec": UNSET,
    "text_shard": UNSET,
    "signal": UNSET,
    "derivation": UNSET,
    "importer": s.Importer(id="messages", version="1"),
    "import_identity": DIGEST,
    "ordinal": 0,
    "inputs": EMPTY_LIST,
    "counts": s.ShardCounts(received=3, kept=3, empty=0, rejected={}),
    "derived_from": EMPTY_LIST,
    "models": (s.ShardModel(teacher=REF, role=s.ModelRole.RESPONSE, rows=known(3)),),
}


def load(tmp_path: Path, text: str | bytes) -> dict[str, Any]:
    path = tmp_path / "facts.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return facts.load_facts(path)


def uncommented(template: str) -> str:
    return re.sub(r"^#(?=\S)", "", template, flags=re.MULTILINE)


def shard(given: dict[str, Any], **options: Any) -> s.Shard:
    return facts.fill(s.Shard, given, fixed=MEASURED, where="facts.toml", **options)


def refusal(struct_type: type[msgspec.Struct], given: dict[str, Any], **options: Any) -> str:
    options = {"fixed": {}, "where": "facts.toml"} | options
    with pytest.raises(InvalidInput) as caught:
        facts.fill(struct_type, given, **options)
    return caught.value.message


def test_times_of_toml_become_the_times_of_statements(tmp_path: Path) -> None:
    found = load(
        tmp_path, 'a = 2026-01-31\nb = {c = [2026-01-31T12:00:00+02:00, 2026-01-31 12:00:00.250Z]}\nd = 0.10\ne = "0.10"\n'
    )
    assert found == {
        "a": "2026-01-31",
        "b": {"c": ["2026-01-31T10:00:00.000Z", "2026-01-31T12:00:00.250Z"]},
        "d": Decimal("0.10"),
        "e": "0.10",
    }
    assert load(tmp_path, b"\xef\xbb\xbfa = 1\r\nb = true\r\n") == {"a": 1, "b": True}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a = 1\nb = \nc = 2", "line 2"),
        (b"a = 1\na = 2\n", "facts.toml"),
        (b"a = '\xff'", "0xff at byte 5"),
        (b"[x]\ny = [1, 2026-01-31T12:00:00]", r"x\.y\[1\]: expected a date-time with its offset.*found 2026-01-31T12:00:00"),
        (b"a = 2026-01-31T12:00:00.123456Z", "a: expected a date-time of at most milliseconds"),
        (b"a = 9999-12-31T23:59:59-10:00", "a: expected a date-time in the years"),
        (b"a = 12:00:00", "a: expected a day or a date-time, found 12:00:00"),
        (b"a = 1e9999999999999999999999", "out of range"),
        (b"a = " + b"1" * 5000, "facts in TOML"),
        (b"a = " + b"[" * 100_000, "facts in TOML"),
    ],
)
def test_a_file_that_is_no_facts_is_refused_with_file_and_place(tmp_path: Path, text: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        load(tmp_path, text)
    assert str(tmp_path / "facts.toml") in caught.value.message


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing"):
        facts.load_facts(tmp_path / "facts.toml")


def test_what_nobody_states_is_not_known_and_is_counted() -> None:
    body = shard({})
    assert body.sampling == unknown()
    assert body.flags.personal == unknown()
    assert body.tokens == unknown(Reason.NOT_RECORDED_BY_SOURCE)
    paths = facts.undeclared(body)
    assert "tokens" not in paths
    assert [path for path in paths if path.startswith("flags.")] == [
        f"flags.{name}" for name in ("personal", "consumer", "copyright", "trademark", "patent", "illegal", "ai_label")
    ]
    assert len(paths) == len(set(paths)) == 17 + 7
    assert facts.undeclared(facts.fill(s.Teacher, {}, fixed={}, where="x"))[:2] == ["party", "model"]


def test_facts_are_lifted_at_every_depth(tmp_path: Path) -> None:
    body = shard(
        load(
            tmp_path,
            f"""
            generated = {{ first = 2026-01-31, last = 2026-02-01T00:00:00Z, live = false }}
            jurisdiction = {{ known = "DE" }}
            supplier = {{ na = "not_applicable_to_kind" }}
            created_by = "operator"
            prompts = [{{ source = "{SOURCE}", rows = 3, category = "human" }}]
            [sampling]
            temperature = 0.70
            top_p = 1
            top_k = {{ unknown = "lost" }}
            other = {{ presence_penalty = -0.50, stop = "x", n = 2, greedy = false, floor = -0.0, tiny = 1e-7 }}
            [compute]
            flop = 1.5e23
            method = "hardware"
            margin = 0.10
            [flags]
            personal = {{ value = true, tool = "scanner", date = 2026-02-02 }}
            """,
        )
    )
    assert body.generated == known(s.Generated(first="2026-01-31", last="2026-02-01T00:00:00.000Z", live=False))
    assert body.jurisdiction == known("DE")
    assert body.supplier == not_applicable()
    assert body.created_by == known(s.CreatedBy.OPERATOR)
    assert body.sampling.known == s.Sampling(
        temperature=known("0.7"),
        top_p=known("1"),
        top_k=unknown(Reason.LOST),
        max_tokens=unknown(),
        seed=unknown(),
        other={"presence_penalty": "-0.5", "stop": "x", "n": 2, "greedy": False, "floor": "0", "tiny": "0.0000001"},
    )
    assert body.compute.known == s.Compute(
        flop="150000000000000000000000", method=FlopMethod.HARDWARE, margin=known("0.1"), mwh=unknown()
    )
    assert body.flags.personal == known(s.Flag(value=True, tool="scanner", date="2026-02-02"))
    paths = facts.undeclared(body)
    assert {"prompts[0].in_training", "sampling.seed", "compute.mwh", "flags.patent"} <= set(paths)
    assert not {"sampling.top_k", "supplier", "flags.personal"} & set(paths)
    assert canonical.decode(canonical.encode(body), s.Shard) == body


def test_a_release_plan_may_be_left_out_but_not_what_a_student_starts_from() -> None:
    student = facts.fill(s.Student, {"id": "acme/mini", "version": "1", "initialised_from": []}, fixed={}, where="x")
    assert student.release_plan.commercial == unknown()
    assert refusal(s.Student, {"id": "acme/mini", "version": "1"}) == (
        "facts.toml: initialised_from: expected a list of 0 to 64, each a table of model, weights, relation, training_flop, "
        "terms, eu_market, summary, found nothing"
    )
    partly = facts.fill(
        s.Student, {"release_plan": {"mau": 5}}, fixed={"id": "a", "version": "1", "initialised_from": ()}, where="x"
    )
    assert partly.release_plan.mau == known(5)
    assert partly.release_plan.hosted == unknown()


def test_json_names_are_used_where_python_has_other_ones() -> None:
    given = {"name": "web", "category": "crawl", "collected": {"from": "2026-01-01", "to": "2026-02-01", "live": False}}
    source = facts.fill(s.Source, given, fixed={}, where="x")
    assert source.collected == known(s.Collected(from_="2026-01-01", to="2026-02-01", live=False))
    given["collected"] = {"from_": "2026-01-01", "to": "2026-02-01", "live": False}
    assert "collected: expected from (the closest name), found the name 'from_'" in refusal(s.Source, given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sampling": {"temperature": 0.5}}, "sampling.other: expected a table of settings, .*found nothing"),
        ({"sampling": 3}, "sampling: expected a table of temperature, .*found the number 3"),
        ({"sampling": {"topk": 3, "other": {}}}, "sampling: expected top_k \\(the closest name\\), found the name 'topk'"),
        ({"qqqq": 3}, "expected one of generated, .*found the name 'qqqq'"),
        ({"rows": 3}, "rows: expected nothing, because inbond fills it itself, found the number 3"),
        ({"created_by": "operators"}, "created_by: expected one of operator, .*found 'operators'"),
        ({"acquired": {"unknown": "forgotten"}}, "acquired.unknown: expected one of not_declared, .*found 'forgotten'"),
        ({"acquired": {"unknown": "lost", "na": "lost"}}, "acquired: expected exactly one of known, na, unknown, found a table"),
        ({"acquired": "2026-02-30"}, "acquired: expected a day .*found '2026-02-30'"),
        ({"prompts": [{"source": SOURCE}]}, r"prompts\[0\].rows: expected a whole number"),
        ({"prompts": {"source": SOURCE}}, "prompts: expected a list of 0 to 64, .*found a table of source"),
        ({"route": [REF] * 65}, "route: expected a list of 0 to 64, .*found a list of 65"),
        ({"route": ["openai"]}, r"route\[0\]: expected a name or a reference .*found 'openai'"),
        ({"jurisdiction": Decimal("1.10")}, "jurisdiction: expected .*found the number 1.10"),
        ({"generator": {"tool": "x", "version": 0.5}}, "generator.version: expected one line of text in quotes"),
        ({"output": {"kept": 3.0}}, "output.kept: expected a whole number of at least 0, found the number 3.0"),
        ({"output": {"kept": -1}}, "output.kept: expected"),
        ({"output": {"kept": True}}, "output.kept: expected .*found true"),
        ({"output": {"kept": 1 << 20_000}}, "output.kept: expected .*found a number of very many digits"),
        ({"compute": {"flop": 1 << 20_000, "method": "measured"}}, "compute.flop: expected an amount"),
        ({"compute": {"flop": True, "method": "measured"}}, "compute.flop: expected an amount"),
        ({"compute": {"flop": float("nan"), "method": "measured"}}, "compute.flop: expected an amount"),
        ({"compute": {"flop": Decimal("-Infinity"), "method": "measured"}}, "compute.flop: expected an amount"),
        ({"sampling": {"other": {"a": float("-inf")}}}, "sampling.other.a: expected a number"),
        ({"generator": {"tool": "\ud800"}}, "facts.toml: "),
    ],
)
def test_a_fact_that_does_not_fit_is_refused_with_its_path(given: dict[str, Any], message: str) -> None:
    assert re.search(message, refusal(s.Shard, given, fixed=MEASURED))


def test_rules_of_the_struct_are_kept() -> None:
    fixed = {name: value for name, value in MEASURED.items() if name != "models"}
    judge = {"teacher": REF, "role": "judge", "rows": 3}
    assert "facts.toml: expected exactly one of models with role response" in refusal(s.Shard, {"models": [judge]}, fixed=fixed)


def test_names_are_resolved_where_references_stand() -> None:
    asked: list[tuple[str, str]] = []

    def resolve(path: str, text: str) -> str:
        asked.append((path, text))
        return SOURCE if text == "web" else text

    given = {"prompts": [{"source": "web", "rows": 1, "category": "crawl"}], "supplier": REF}
    body = shard(given, resolve=resolve)
    assert body.prompts.known[0].source == SOURCE
    assert body.supplier == known(REF)
    assert asked == [("prompts[0].source", "web")]
    given["supplier"] = "nobody"
    assert "supplier: expected a name or a reference" in refusal(s.Shard, given, fixed=MEASURED, resolve=resolve)


# The examples of these cannot stand together: of two optional fields only one may be given.
ALTERNATIVES = {s.Key, s.TermsFact}


# Of a shard, what only one of log-probabilities has: the example is one of text.
BESIDE = {s.Shard: ("codec", "text_shard", "signal")}


@pytest.mark.parametrize("body", [b for kind in KINDS.values() for b in kind.bodies if b not in ALTERNATIVES])
def test_a_template_is_nothing_until_uncommented_and_then_everything(tmp_path: Path, body: type[msgspec.Struct]) -> None:
    beside = BESIDE.get(body, ())
    text = facts.template(body, beside)
    assert load(tmp_path, text) == {}
    stated = load(tmp_path, uncommented(text))
    assert set(stated) == {field.encode_name for field in msgspec.structs.fields(body)} - set(beside)
    filled = facts.fill(body, stated, fixed=dict.fromkeys(beside, UNSET), where="template")
    assert facts.undeclared(filled) == []


def test_a_template_leaves_out_what_the_program_fills(tmp_path: Path) -> None:
    text = facts.template(s.Shard, MEASURED)
    stated = load(tmp_path, uncommented(text))
    assert not set(MEASURED) & set(stated)
    assert facts.undeclared(shard(stated)) == []
    for line in ("#created_by = ", "#sampling.temperature = 0.7", "#   Who made the outputs.", "third_party", "withheld"):
        assert line in text


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text(st.characters(), max_size=8)
    | st.binary(max_size=3)
    | st.dates()
    | st.datetimes()
    | st.sampled_from(
        [REF, SOURCE, DIGEST, "2026-01-31", "text", "0.70", "1e400", "operator", "response", "human", "lost", "DE", "en"]
    )
)
NAMES = st.text(max_size=5) | st.sampled_from(
    sorted({f.encode_name for t in (s.Shard, s.Teacher, s.Student, s.Source, Declared) for f in msgspec.structs.fields(t)})
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (table or list, key) in a tree of facts."""
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree))) if isinstance(tree, list) else []
    return [(tree, key) for key in keys] + [place for key in keys for place in places(tree[key])]


def spoil(data: st.DataObject, tree: dict[str, Any]) -> None:
    """Change `tree` in up to three places, to facts as good as others or to anything."""
    for _ in range(data.draw(st.integers(0, 3))):
        if not (at := places(tree)):
            return
        inside, key = data.draw(st.sampled_from(at))
        match data.draw(st.sampled_from(["drop", "reason", "known", "leaf", "any", "add"])):
            case "drop":
                del inside[key]
            case "reason":
                inside[key] = {data.draw(st.sampled_from(["na", "unknown"])): data.draw(st.sampled_from(Reason)).value}
            case "known":
                inside[key] = {"known": inside[key]}
            case "leaf":
                inside[key] = data.draw(LEAVES)
            case "any":
                inside[key] = data.draw(VALUES)
            case "add" if isinstance(inside, dict):
                inside[data.draw(NAMES)] = data.draw(LEAVES)
            case "add":
                inside.extend(inside[:1] * data.draw(st.integers(1, 70)))


@contextmanager
def refused() -> Iterator[list[str]]:
    """Holds the message of InvalidInput, the only error that may come out."""
    messages: list[str] = []
    try:
        yield messages
    except InvalidInput as error:
        messages.append(error.message)


@pytest.mark.parametrize("body", [s.Teacher, s.Student, s.Source, s.Sampling, s.Shard])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_facts_make_a_body_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, body: type[msgspec.Struct], data: st.DataObject
) -> None:
    fixed = MEASURED if body is s.Shard else {}
    path = tmp_path_factory.getbasetemp() / "template.toml"
    path.write_text(uncommented(facts.template(body, fixed)))
    given = facts.load_facts(path)
    spoil(data, given)
    with refused() as message:
        filled = facts.fill(body, given, fixed=fixed, where="facts.toml")
    if message:
        assert message[0].startswith("facts.toml: ")
        return
    assert canonical.decode(canonical.encode(filled), body) == filled
    facts.undeclared(filled)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=40) | st.lists(st.sampled_from(list("ab=[]{}\"'.,#\n 01-:TZe+_\\u")), max_size=40).map("".join))
def test_any_text_is_facts_or_is_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with refused() as message:
        assert isinstance(facts.load_facts(path), dict)
    assert all(each.startswith(f"{path}: expected") for each in message)
