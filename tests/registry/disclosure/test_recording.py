"""Reports on record: made, signed, numbered, verified; and what a doctored one is caught by."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inbond.registry.disclosure import recording
from inbond.registry.disclosure.document import decode, encode
from inbond.registry.disclosure.recording import Made, commitments, digest, make
from inbond.registry.disclosure.rendering import html, renderer_digest
from inbond.registry.disclosure.verifying import verify
from inbond.registry.disclosure.wording import share
from inbond.registry.registry import Registry
from inbond.schemas import canonical
from inbond.schemas.errors import Conflict, InbondError, InvalidInput, NotFound, NotPermitted, VerificationError
from inbond.schemas.scalars import EMPTY_LIST
from inbond.schemas.statements import Report
from tests.registry.disclosure.reading import report
from tests.registry.world import World


def made(world: World, folder: Path, template: str = "eu-summary", **options: Any) -> Made:
    return make(world.registry, "lab/pupil", template, folder, **options)


def refused(world: World, file: Path, text: str) -> None:
    with pytest.raises(VerificationError, match=text):
        verify(world.registry, file)


def edited(file: Path, out: Path, change: Callable[[Any], None]) -> Path:
    value = json.loads(file.read_bytes())
    change(value)
    out.write_bytes(canonical.encode(value))
    return out


@pytest.mark.parametrize("form", ["eu-summary", "ca-ab2013"])
def test_a_report_is_recorded_and_verifies_as_json_and_as_page(told: World, tmp_path: Path, form: str) -> None:
    size = told.size()
    found = made(told, tmp_path / "out", form)
    assert [path.name for path in found.files] == ["report.json", "report.html", "report.tlog-proof"]
    assert (found.report.tree_size, found.recorded.seq) == (size, size)
    body: Report = told.body(found.recorded.ref)
    assert (body.tree_size, body.template, body.renderer) == (size, found.report.template, renderer_digest())
    assert body.releases == tuple(row["ref"] for row in told.rows()["releases"])
    assert digest(found.files[0].read_bytes()) == body.model
    assert [digest(found.files[1].read_bytes())] == [each.digest for each in body.renderings]
    told.registry.add_party("somebody-later")
    for file in found.files[:2]:
        verified = verify(told.registry, file)
        assert (verified.verdict, verified.latest, verified.entry) == ("proved", True, size)
        assert len(verified.proved) == 5
    told.check()


def test_gaps_commitments_and_salts_are_kept(lived: World, tmp_path: Path) -> None:
    found = made(lived, tmp_path / "out")
    body: Report = lived.body(found.recorded.ref)
    store = lived.registry.store
    lines = store.read_lines(body.gaps.digest, body.gaps.root, int(body.gaps.count))
    assert [line["supply"] for line in lines] == [gap.supply for gap in found.report.gaps]
    salts = json.loads(store.get(body.salts_custody))
    model = found.files[0].read_bytes()
    stated = json.loads(store.get(body.commitments))
    again = commitments(model, found.report, {id: bytes.fromhex(salt) for id, salt in salts["salts"].items()})
    assert stated == again
    assert len(set(salts["salts"].values())) == len(stated["fields"]) == len(found.report.fields())
    assert all(len(bytes.fromhex(salt)) == 32 for salt in salts["salts"].values())


def test_versions_count_up_and_name_the_one_before(told: World, tmp_path: Path) -> None:
    first, other = made(told, tmp_path / "1"), made(told, tmp_path / "ca", "ca-ab2013")
    second = made(told, tmp_path / "2")
    body: Report = told.body(second.recorded.ref)
    assert body.supersedes == first.recorded.ref
    assert (first.report.version, other.report.version, second.report.version) == (1, 1, 2)
    assert second.report.earlier[0].ref == first.recorded.ref
    assert second.report.earlier[0].model == told.body(first.recorded.ref).model
    assert not verify(told.registry, first.files[0]).latest
    assert verify(told.registry, second.files[1]).latest
    with pytest.raises(Conflict, match="expected one made from a tree size of at least"):
        made(told, tmp_path / "3", as_of=first.report.tree_size)


def test_a_report_as_of_an_earlier_size_says_what_was_known_then(told: World, tmp_path: Path) -> None:
    size = told.size()
    told.registry.declare("acme/base@1", {"summary": {"unknown": "not_declared"}}, correct=True)
    assert report(told).missing == 1
    found = made(told, tmp_path / "out", as_of=size)
    assert (found.report.missing, found.report.tree_size) == (0, size)
    assert verify(told.registry, found.files[1]).verdict == "proved"
    with pytest.raises(InvalidInput, match="size"):
        made(told, tmp_path / "later", as_of=10_000)


def test_a_draft_of_an_unreleased_student_says_so(world: World, tmp_path: Path) -> None:
    found = made(world, tmp_path / "out")
    assert (found.report.released, found.report.is_draft) == (False, True)
    assert world.body(found.recorded.ref).releases == ()
    assert "the model is not released" in (tmp_path / "out" / "report.html").read_text()
    assert verify(world.registry, found.files[1]).report.is_draft
    [row] = world.rows()["reports"]
    assert (row["student"], row["template"], row["profile"]) == (world.ref("lab/pupil", "student"), "eu-summary", "public")


def test_nothing_is_written_over(told: World, tmp_path: Path) -> None:
    found = made(told, tmp_path / "out")
    size = told.size()
    with pytest.raises(Conflict, match="exists: expected a folder without a report"):
        made(told, tmp_path / "out")
    with pytest.raises(InvalidInput, match="expected a folder, found a file"):
        made(told, found.files[0])
    assert told.size() == size


# -- what is caught --------------------------------------------------------------------------------------------------------------


def _figure(value: Any) -> None:
    for section in value["sections"]:
        for each in section["fields"]:
            for figure in each["figures"]:
                if figure["name"] == "rows of acme/base@1, response, sft":
                    figure["value"] += 1


def _word(value: Any) -> None:
    next(f for s in value["sections"] for f in s["fields"] if f["id"] == "3.2.a")["blocks"][0]["paragraphs"][0] = "None at all."


DOCTORED: list[tuple[Callable[[Any], None], str]] = [
    (_figure, r"field 2\.5\.e, figures\[rows of acme/base@1, response, sft\]\.value: expected 30, found 31"),
    (
        _word,
        r"field 3\.2\.a, blocks\[0\]\.paragraphs\[0\]: expected 'Hash lists are matched before training\.', found 'None at all",
    ),
    (lambda value: value.update(tree_size=value["tree_size"] - 1), "expected"),
    (lambda value: value.update(tree_size=10_000), "tree_size: expected a size from 1 to"),
    (lambda value: value.update(root="sha256:" + "0" * 64), "root: expected 'sha256:"),
    (lambda value: value.update(version=7), "version: expected 1, found 7"),
    (lambda value: value["gaps"].append({**GAP}), "gaps: expected"),
    (lambda value: value.update(origin="example.org/other"), "expected a report from example.org/world"),
    (lambda value: value["student"].update(ref="student:" + "0" * 32), "expected a report about what is on record"),
]
GAP = {"field": "1.1.a", "fact": "x", "about": "x", "text": "x", "supply": "x", "required": True}


def test_a_changed_model_is_caught_at_its_first_difference(told: World, tmp_path: Path) -> None:
    found = made(told, tmp_path / "out")
    for number, (change, text) in enumerate(DOCTORED):
        refused(told, edited(found.files[0], tmp_path / f"{number}.json", change), text)


def test_a_changed_byte_of_the_page_is_caught(told: World, tmp_path: Path) -> None:
    found = made(told, tmp_path / "out")
    page = found.files[1].read_bytes()
    changed = tmp_path / "changed.html"
    changed.write_bytes(page.replace(b"30</td>", b"31</td>", 1).replace(b"<bdi>30", b"<bdi>31", 1))
    assert changed.read_bytes() != page
    refused(told, changed, r"expected the page that was signed; line \d+: expected '.*30.*', found '.*31")
    changed.write_bytes(page + b"\n")
    refused(told, changed, "expected the page that was signed")
    changed.write_bytes(page.replace(found.report.root.encode(), b"sha256:" + b"0" * 64))
    refused(told, changed, "expected the page that was signed")
    changed.write_bytes(page.replace(digest(found.files[0].read_bytes()).encode(), b"sha256:" + b"0" * 64))
    refused(told, changed, "expected a report on record with this model, found none")


def test_a_right_model_that_nobody_signed_is_not_on_record(told: World, tmp_path: Path) -> None:
    model = told.registry.place.report_model("lab/pupil", "eu-summary", {}, told.size())
    (tmp_path / "report.json").write_bytes(model)
    with pytest.raises(NotFound, match="nobody signed it"):
        verify(told.registry, tmp_path / "report.json")
    (tmp_path / "report.html").write_bytes(html(model))
    refused(told, tmp_path / "report.html", "found none")


@pytest.mark.parametrize("content", [b"", b"hello", b"{}", b"<html></html>", b"[1]", bytes(range(256))])
def test_other_files_are_no_reports(told: World, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InvalidInput, match="expected a report of inbond"):
        verify(told.registry, tmp_path / "file")


def signed(world: World, **changes: Any) -> tuple[Report, bytes]:
    """The body that `make` would sign, with changes; its objects are in the store."""
    model = changes.pop("model", None) or recording.model_of(world.registry, "lab/pupil", "eu-summary", "public", None)
    body = recording._body(world.registry, model, decode(model), world.registry.operator)
    return msgspec.structs.replace(body, **changes), model


def test_a_wrong_figure_that_compliance_signed_is_caught(told: World, tmp_path: Path) -> None:
    model = told.registry.place.report_model("lab/pupil", "eu-summary", {}, told.size())
    value = json.loads(model)
    _figure(value)
    wrong = encode(decode(canonical.encode(value)))
    body, _ = signed(told, model=wrong)
    told.put("report", body, "compliance")
    for name, data in (("report.json", wrong), ("report.html", html(wrong))):
        (tmp_path / name).write_bytes(data)
        refused(told, tmp_path / name, r"figures\[rows of acme/base@1, response, sft\]\.value: expected 30, found 31")


def test_a_page_that_the_model_does_not_give_is_caught_though_it_was_signed(told: World, tmp_path: Path) -> None:
    body, model = signed(told)
    page = html(model).replace(b"Hash lists", b"Cash lists")
    rendering = msgspec.structs.replace(body.renderings[0], digest=f"sha256:{told.registry.store.put_bytes(page)}")
    told.put("report", msgspec.structs.replace(body, renderings=(rendering,)), "compliance")
    (tmp_path / "report.html").write_bytes(page)
    refused(told, tmp_path / "report.html", "expected a page sha256:[0-9a-f]{64} from its model")


def test_another_renderer_leaves_the_page_unchecked(told: World, tmp_path: Path) -> None:
    body, model = signed(told, renderer="sha256:" + "1" * 64)
    told.put("report", body, "compliance")
    (tmp_path / "report.html").write_bytes(html(model))
    found = verify(told.registry, tmp_path / "report.html")
    assert found.verdict == "inconclusive"
    assert "another renderer" in found.unchecked[0]


REFUSED: list[tuple[str, dict[str, Any], type[InbondError], str]] = [
    ("vendor-compliance", {}, NotPermitted, "expected approval by|belongs to"),
    ("trainer", {}, NotPermitted, "expected a signature in the role compliance"),
    ("compliance", {"tree_size": 10_000}, InvalidInput, "expected a tree size from 1 to"),
    ("compliance", {"tree_size": 5}, InvalidInput, "expected a model of"),
    ("compliance", {"releases": ()}, InvalidInput, "expected the releases of"),
    ("compliance", {"gaps": EMPTY_LIST}, InvalidInput, "expected the 1 gaps of its model"),
    ("compliance", {"supersedes": "report:" + "0" * 32}, InvalidInput, "expected things that exist"),
    ("compliance", {"model": "sha256:" + "1" * 64}, InvalidInput, "expected object"),
    ("compliance", {"options": "sha256:" + "1" * 64}, InvalidInput, "expected object"),
]


def test_what_admission_refuses(told: World) -> None:
    told.registry.declare("acme/base@1", {"summary": {"unknown": "not_declared"}}, correct=True)
    body, _ = signed(told)
    for key, changes, error, text in REFUSED:
        told.refuse(told.signed("report", msgspec.structs.replace(body, **changes), key), error, text)


def test_a_report_of_another_partys_student_is_refused(told: World) -> None:
    model = told.registry.place.report_model("vendor/mini", "eu-summary", {}, told.size())
    body, _ = signed(told, model=model)
    told.refuse(told.signed("report", body, "compliance"), NotPermitted, "belongs to")
    with pytest.raises(NotPermitted, match="belongs to"):
        make(told.registry, "vendor/mini", "eu-summary", told.folder.parent / "out")


def test_real_data_makes_a_report_that_names_its_gaps(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "state"))
    with Registry.init(tmp_path / "registry", "example.org/real", "lab") as registry:
        facts = {
            "created_by": "third_party",
            "public": {"since": "2023-06-01", "url": "https://github.com/tatsu-lab/alpaca_eval"},
            "produced_for": "evaluation",
        }
        files = sorted((shared_data / "teacher-outputs").glob("*.json"))[:4]
        for file in files:
            name = file.stem.lower()
            registry.import_files("alpaca-eval", [file], teacher=f"makers/{name}@1", dataset=name, create=True, facts=facts)
        code = shared_data / "alpaca-format" / "code_alpaca_2k.json"
        registry.import_files(
            "alpaca", [code], teacher="makers/text_davinci_003@1", dataset="code", create=True, facts={"created_by": "operator"}
        )
        registry.add_terms(b"Apache-2.0\n", party="makers", title="licence", effective="2023-01-01")
        registry.add_student("lab/mini")
        registry.rule(registry.ask("lab/mini", "licence", "open").ref, "permit", "open")
        names = [file.stem.lower() for file in files]
        for _ in registry.pull(*names, "code", student="lab/mini", run="real"):
            pass
        found = make(registry, "lab/mini", "eu-summary", tmp_path / "out")
        assert verify(registry, found.files[1]).verdict == "proved"
        fields = found.report.fields()
        own = len(json.loads(code.read_bytes()))
        rows = own + sum(len(json.loads(file.read_bytes())) for file in files)
        assert {each.name: each.value for each in fields["1.3.b"].figures} == {"rows of text given": rows}
        [listed] = [block for block in fields["2.1.c"].blocks if hasattr(block, "items")]
        assert [item.url for item in listed.items] == ["https://github.com/tatsu-lab/alpaca_eval"]
        [amounts] = [block for block in fields["2.5.e"].blocks if getattr(block, "caption", "").startswith("How much")]
        assert amounts.rows[0][:4] == ("makers/text_davinci_003@1", "sft, response", own, f"{share(own, rows)} of {rows:,}")
        assert {"2.5.c", "1.3.d", "1.2.c", "2.4.a"} <= {gap.field for gap in found.report.gaps if gap.required}
