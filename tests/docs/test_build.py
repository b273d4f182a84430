"""The pages are built without a warning, link to nothing that is not there, and load nothing from elsewhere."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest

from inbond.api.cli.main import cli

ROOT = Path(__file__).parents[2]
LOADS = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src", "object": "data", "use": "href"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-b", "html", str(ROOT / "docs"), str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return folder


class _Loads(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in LOADS and (target := values.get(LOADS[tag])):
            self.found.append(target)
        if tag == "a" and (target := values.get("href")):
            self.links.append(target)
        if identity := values.get("id"):
            self.anchors.add(identity)


def parsed(page: Path) -> _Loads:
    parser = _Loads()
    parser.feed(page.read_text())
    return parser


def test_nothing_is_loaded_from_elsewhere(built: Path) -> None:
    pages = list(built.glob("*.html"))
    assert {"index.html", "formats.html", "command-line.html"} <= {page.name for page in pages}
    for page in pages:
        for target in parsed(page).found:
            assert not re.match(r"(?:[a-z+]+:)?//", target), f"{page.name} loads {target}"
            assert target.startswith(("data:", "#")) or (built / re.sub(r"[?#].*", "", target)).is_file(), (
                f"{page.name} lacks {target}"
            )
    for style in built.rglob("*.css"):
        loads = re.findall(r"(?:@import\s+|url\()\s*[\"']?(?:[a-z+]+:)?//[^)\"'\s]*", style.read_text())
        assert not loads, f"{style.name} loads {loads}"


def test_every_link_within_leads_somewhere(built: Path) -> None:
    pages = {page.name: parsed(page) for page in built.glob("*.html")}
    for name, page in pages.items():
        for link in page.links:
            target, _, anchor = link.partition("#")
            if ":" in target:
                continue
            assert (built / (target or name)).is_file(), f"{name} links to {link}"
            if anchor and (target or name) in pages:
                assert anchor in pages[target or name].anchors, f"{name} links to {link}"


def test_every_command_is_described(built: Path) -> None:
    text = (built / "command-line.html").read_text()

    def walk(group: click.Group, path: str) -> None:
        for name, command in group.commands.items():
            assert f">{path} {name}<" in text
            if isinstance(command, click.Group):
                walk(command, f"{path} {name}")

    walk(cli, "inbond")
