"""The README's commands do what it says: every `console` and `python` block is run, in order, in one folder."""

import re
import subprocess
import sys
from pathlib import Path

from tests.blocks import Shell, environment_of, fences, in_bash

README = Path(__file__).parents[2] / "README.md"


def test_the_walk_works_as_printed(tmp_path: Path) -> None:
    environment = environment_of(tmp_path, Path(sys.executable).parent)
    shell = Shell(tmp_path, in_bash(environment))
    for block in fences(README.read_text()):
        if block["file"]:
            (tmp_path / block["file"]).write_text(block["text"])
        elif block["kind"] == "console":
            shell.session(block["text"])
        elif block["kind"] == "python":
            done = subprocess.run(
                [sys.executable, "-c", block["text"]], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            assert "A warehouse under seal." in done.stdout
            shell.ran += 1
    assert shell.ran > 12, "expected the README's walk to have more than a dozen steps"


def test_what_the_readme_names_exists() -> None:
    text = README.read_text()
    for target in re.findall(r"\]\(([\w./-]+)\)", text):
        assert (README.parent / target).exists(), target
    makefile = (README.parent / "Makefile").read_text()
    for target in re.findall(r"make ([a-z-]+)", text):
        assert re.search(rf"(?m)^{target}:", makefile), target
