"""The README does what it says: each of its four ways is run as printed, the last three where the first one ended.

The first way is walked in real shells. On the others, `inbond` without anything of the shell runs in this process.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.blocks import Execute, Shell, environment_of, fences, free_port, in_bash, in_process

README = Path(__file__).parents[2] / "README.md"
PORTS = ("8420", "8421")
FIRST, *OTHERS = WAYS = ("You train models", "You audit", "You provide teachers", "You answer for compliance")


def section(heading: str) -> str:
    """The README's text under a heading."""
    text = README.read_text()
    start = text.index(f"### {heading}\n")
    return text[start : re.compile(r"(?m)^##+ |\Z").search(text, start + 4).start()]  # type: ignore[union-attr]


def walk(heading: str, folder: Path, executing: Callable[[Mapping[str, str]], Execute]) -> int:
    """Run the blocks of a section in `folder`, which keeps the state too; returns how many commands ran."""
    shell = Shell(folder, executing, environment_of(folder, Path(sys.executable).parent))
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
    assert walk(FIRST, folder, in_bash) > 12, "expected the first way to have more than a dozen steps"
    return folder


def test_the_first_way_works_as_printed(walked: Path) -> None:
    assert (walked / "gpu" / "batch.jsonl").read_text().count("\n") == 2


@pytest.mark.parametrize("heading", OTHERS)
def test_another_way_works_as_printed(heading: str, walked: Path, tmp_path: Path) -> None:
    shutil.copytree(walked, tmp_path / "copy")  # with its state: a copy that goes on elsewhere would be a fork
    assert walk(heading, tmp_path / "copy", in_process) > 4


def test_what_the_readme_names_exists() -> None:
    text = README.read_text()
    assert re.findall(r"(?m)^### (.*)$", text) == list(WAYS)
    for target in re.findall(r"\]\(([\w./-]+)\)", text):
        assert (README.parent / target).exists(), target
    makefile = (README.parent / "Makefile").read_text()
    for target in re.findall(r"make ([a-z-]+)", text):
        assert re.search(rf"(?m)^{target}:", makefile), target
