"""The README does what it says: each of its four ways is run as printed, the last three where the first one ended."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.blocks import Shell, environment_of, fences, free_port, in_bash

README = Path(__file__).parents[2] / "README.md"
PORTS = ("8420", "8421")
FIRST, *OTHERS = WAYS = ("You train models", "You audit", "You provide teachers", "You answer for compliance")


def section(heading: str) -> str:
    """The README's text under a heading."""
    text = README.read_text()
    start = text.index(f"### {heading}\n")
    return text[start : re.compile(r"(?m)^##+ |\Z").search(text, start + 4).start()]  # type: ignore[union-attr]


def walk(heading: str, folder: Path, home: Path) -> int:
    """Run the blocks of a section in `folder`; returns how many commands ran. `home` keeps the state of all ways."""
    shell = Shell(folder, in_bash, environment_of(home, Path(sys.executable).parent))
    try:
        text = section(heading)
        for port in PORTS:
            text = text.replace(port, str(free_port()))
        for block in fences(text):
            if block["file"]:
                (folder / block["file"]).write_text(block["text"])
            elif block["kind"] == "console":
                shell.session(block["text"])
            elif block["kind"] == "python":
                done = subprocess.run(
                    [sys.executable, "-c", block["text"]],
                    cwd=folder, env=shell.environment, capture_output=True, text=True, check=False,
                )  # fmt: skip
                assert done.returncode == 0, done.stderr
                assert "A warehouse under seal." in done.stdout
                shell.ran += 1
    finally:
        shell.close()
    return shell.ran


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the first way was gone."""
    folder = tmp_path_factory.mktemp("readme")
    assert walk(FIRST, folder, folder) > 12, "expected the first way to have more than a dozen steps"
    return folder


def test_the_first_way_works_as_printed(walked: Path) -> None:
    assert (walked / "gpu" / "batch.jsonl").read_text().count("\n") == 2


@pytest.mark.parametrize("heading", OTHERS)
def test_another_way_works_as_printed(heading: str, walked: Path, tmp_path: Path) -> None:
    shutil.copytree(walked, tmp_path / "copy")  # with its state: a copy that goes on elsewhere would be a fork
    assert walk(heading, tmp_path / "copy", tmp_path / "copy") > 4


def test_what_the_readme_names_exists() -> None:
    text = README.read_text()
    assert re.findall(r"(?m)^### (.*)$", text) == list(WAYS)
    for target in re.findall(r"\]\(([\w./-]+)\)", text):
        assert (README.parent / target).exists(), target
    makefile = (README.parent / "Makefile").read_text()
    for target in re.findall(r"make ([a-z-]+)", text):
        assert re.search(rf"(?m)^{target}:", makefile), target
