"""The page: nothing from outside, nothing that runs, names that cannot do harm, the same bytes each time."""

import base64
import hashlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from inbond.registry.disclosure import rendering
from inbond.registry.disclosure.document import State
from inbond.registry.disclosure.rendering import html, in_words, renderer_digest
from inbond.schemas.errors import InvalidInput
from tests.registry.disclosure.reading import report
from tests.registry.disclosure.scene import CONTENT
from tests.registry.world import World

TEMPLATES = ("eu-summary", "ca-ab2013")
VOID = {"meta", "br", "link", "img", "input", "hr"}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><script>alert(1)</script>",
    "safe\u202egnp.exe",
    "zero\u200bwidth\u2066",
    "{{ 7 * 7 }}{% raw %}",
    '\\3c script\\3e "; } body { display: none }',
    "long" * 120,
    "深度求索 · Ελλάδα",
]


class Page(HTMLParser):
    """A page's elements with their attributes, its text, and how they nest."""

    def __init__(self, data: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(data.decode())
        self.close()
        assert self._open == [], "elements that are not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text.append(data)

    def all(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.elements if tag in tags]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def page(world: World, template: str = "eu-summary", student: str = "lab/pupil") -> tuple[bytes, Page]:
    data = html(world.registry.place.report_model(student, template, {}, world.size()))
    return data, Page(data)


@pytest.mark.parametrize("form", TEMPLATES)
def test_the_page_asks_for_nothing_and_runs_nothing(told: World, form: str) -> None:
    data, found = page(told, form)
    tags = {tag for tag, _ in found.elements}
    assert not tags & {"script", "img", "link", "iframe", "object", "embed", "form", "input", "button", "base", "svg", "video"}
    for tag, attributes in found.elements:
        assert not {name for name in attributes if name.startswith("on") or name in ("src", "srcset", "style", "background")}, tag
        if "href" in attributes:
            assert tag == "a"
            assert re.match("#|https://", attributes["href"])
    assert b"url(" not in data
    assert b"@import" not in data
    assert not re.search(rb"(?<!@)import\s*\(", data)


@pytest.mark.parametrize("form", TEMPLATES)
def test_the_policy_of_the_page_lets_its_own_style_in_and_nothing_else(told: World, form: str) -> None:
    data, found = page(told, form)
    [policy] = [each["content"] for each in found.all("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    [style] = re.findall(rb"<style>(.*?)</style>", data, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert data.index(b"Content-Security-Policy") < data.index(b"<style>")


@pytest.mark.parametrize("form", TEMPLATES)
def test_headings_tables_and_language_serve_those_who_listen(told: World, form: str) -> None:
    data, found = page(told, form)
    assert found.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(each.get("scope") in ("col", "row") for each in found.all("th"))
    assert len(found.all("table")) == len(found.all("caption"))
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {each["href"][1:] for each in found.all("a") if each["href"].startswith("#")}
    assert links <= set(ids)
    assert data.endswith(b"</html>\n")


def test_commands_break_between_words_only() -> None:
    assert in_words("inbond x --facts 'a <b>'") == (
        '<span class="word"><bdi>inbond</bdi></span> <span class="word"><bdi>x</bdi></span> '
        '<span class="word"><bdi>--facts</bdi></span> <span class="word"><bdi>&#39;a</bdi></span> '
        '<span class="word"><bdi>&lt;b&gt;&#39;</bdi></span>'
    )
    assert in_words("long" * 20) == f"<bdi>{'long' * 20}</bdi>"


def test_every_field_state_and_gap_is_on_the_page(lived: World) -> None:
    found = report(lived)
    words = page(lived)[1].words
    for one in found.fields().values():
        assert " ".join(one.title.split()) in words
        if one.state is not State.FILLED:
            assert f"{one.state.value.replace('_', ' ')}: {one.reason}" in words.replace(" :", ":")
    for gap in found.gaps:
        assert gap.supply in words
        assert gap.text in words
    assert f"Draft: {found.missing} facts missing" in words
    assert "nothing here carries this label" in words


def test_a_complete_report_says_nothing_of_a_draft(told: World) -> None:
    data, found = page(told)
    assert "Draft" not in found.words
    assert b'@top-right { content: ""; }' in data
    assert "What is missing" not in found.words


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(told: World, name: str) -> None:
    label = name[:500]
    told.registry.declare("lab/pupil", {"purpose": label}, correct=True)
    told.registry.declare("acme/base@1", {"model": label}, correct=True)
    told.registry.declare("party:lab", {"legal_name": label}, correct=True)
    for shard, *_ in told.parts("code"):
        told.registry.declare(shard, {"content": {**CONTENT, "types": [label]}}, correct=True)
    for form in TEMPLATES:
        data, found = page(told, form)
        assert not {tag for tag, _ in found.elements} & {"script", "img"}
        seen = "".join(f"\u27e8U+{ord(c):04X}\u27e9" if c in "\u202e\u200b\u2066" else c for c in label)
        assert " ".join(seen.split()) in found.words
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b]", data.decode())
        assert len(re.findall(rb"</style>", data)) == 1


def test_addresses_that_are_not_of_the_web_are_no_links(told: World) -> None:
    evil = {"url": "javascript:alert(1)", "checked": "2026-11-02"}
    told.registry.declare("acme/base@1", {"summary": evil}, correct=True)
    _, found = page(told)
    assert all(not each["href"].startswith("javascript") for each in found.all("a"))
    assert "acme/base@1 (javascript:alert(1))" in found.words.replace("( ", "(").replace(" )", ")")


def test_names_in_the_margins_of_printed_pages_cannot_leave_their_string(world: World) -> None:
    name = 'x"; } body { display: none } /*'
    world.student(f"lab/{name}")
    data, _ = page(world, student=f"student:lab/{name}")
    assert b"\\000022 " in data
    [style] = re.findall(rb"<style>(.*?)</style>", data, re.DOTALL)
    assert b"display: none } /*" not in style


def test_another_process_makes_the_same_bytes(told: World) -> None:
    """With other hashes, in another time zone, after the log has grown."""
    program = (
        "import hashlib, sys\n"
        "from inbond.registry.registry import Registry\n"
        "from inbond.registry.disclosure.rendering import html\n"
        "with Registry.open(sys.argv[1]) as registry:\n"
        "    for template in ('eu-summary', 'ca-ab2013'):\n"
        "        model = registry.place.report_model('lab/pupil', template, {'profile': 'public'}, int(sys.argv[2]))\n"
        "        print(hashlib.sha256(model).hexdigest(), hashlib.sha256(html(model)).hexdigest())\n"
    )
    size = told.size()
    told.registry.add_party("somebody-later")
    args = [sys.executable, "-c", program, str(told.folder), str(size)]
    other = {**os.environ, "PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    theirs = subprocess.run(args, capture_output=True, text=True, check=True, env=other).stdout.split()
    ours = []
    for template in TEMPLATES:
        model = told.registry.place.report_model("lab/pupil", template, {}, size)
        ours += [hashlib.sha256(model).hexdigest(), hashlib.sha256(html(model)).hexdigest()]
    assert theirs == ours


def test_the_renderer_is_named_by_everything_that_makes_the_page() -> None:
    folder = Path(rendering.__file__).parent / "templates"
    assert {path.name for path in folder.iterdir()} == set(rendering._FILES)
    assert renderer_digest().startswith("sha256:")


def test_what_is_no_report_is_no_page() -> None:
    with pytest.raises(InvalidInput, match="report"):
        html(b"{}")
