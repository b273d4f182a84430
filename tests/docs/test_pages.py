"""The pages of docs/ do what they say: their blocks run, page by page, each page in a folder of its own.

Sybil finds the blocks. One test runs a whole page, as its blocks build on one another, and workers share no page.
"""

import doctest
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from sybil import Document, Example, Region
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser

from tests.blocks import Shell, environment_of, fences, in_process

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
RUN = ("python", "console")
WITH_SERVER = ("http",)


def files(document: Document) -> Iterable[Region]:
    """Blocks that a comment names as files: they are written where the page runs."""

    def write(example: Example) -> None:
        name, text = example.parsed
        Path(name).write_text(text)

    for block in fences(document.text):
        if block["file"]:
            yield Region(block.start(), block.end(), (block["file"], block["text"]), write)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_works_as_printed(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    environment = environment_of(tmp_path, Path(sys.executable).parent)
    if page.stem in WITH_SERVER:
        serving = request.getfixturevalue("serving")
        named = {"INBOND_REGISTRY": serving.address, "INBOND_TOKEN": serving.token}
        environment |= named | {"INBOND_POLICY": f"{serving.folder}/policy.txt", "INBOND_KEYS": f"{serving.folder}/keys"}
    for name in [name for name in os.environ if name.startswith("INBOND_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "golden").symlink_to(ROOT / "tests" / "golden")
    shell = Shell(tmp_path, in_process, environment)

    def run(example: Example) -> None:
        shell.session(example.parsed)

    flags = doctest.ELLIPSIS | doctest.FAIL_FAST
    parsers = (files, PythonCodeBlockParser(doctest_optionflags=flags), CodeBlockParser("console", run))
    for example in Document.parse(str(page), *parsers):
        example.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_does_not_run_is_text(page: Path) -> None:
    for block in fences(page.read_text()):
        kind = block["kind"]
        assert block["file"] or kind in (*RUN, "text") or kind.startswith("{"), f"{page.name}: a block of {kind}"


def test_no_page_says_the_same_as_another() -> None:
    """A page that is made of another one (SECURITY.md) includes it."""
    titles = [re.search(r"(?m)^# (.+)$", page.read_text()) for page in PAGES]
    found = [title[1] for title in titles if title]
    assert len(found) == len(set(found))
