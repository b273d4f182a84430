"""The README's commands do what it says: every `console` and `python` block is run, in order, in one folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"

FENCE = re.compile(r"(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL)
COMMAND = re.compile(r"(?m)^\$ ")
EXIT = re.compile(r"\s+# exit (\d+)$")


def test_the_walk_works_as_printed(tmp_path: Path) -> None:
    bin_folder = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "INBOND_STATE": str(tmp_path / "state"),
        "NO_COLOR": "1",
    }
    environment.pop("INBOND_REGISTRY", None)
    here, ran = tmp_path, 0
    for block in FENCE.finditer(README.read_text()):
        if block["file"]:
            (tmp_path / block["file"]).write_text(block["text"])
        elif block["kind"] == "console":
            for part in COMMAND.split(block["text"])[1:]:
                line, _, expected = part.partition("\n")
                command = EXIT.sub("", line)
                code = int(match[1]) if (match := EXIT.search(line)) else 0
                if command.startswith("cd "):
                    here = here / command[3:]
                    continue
                done = subprocess.run(
                    ["bash", "-c", f"{command} 2>&1"],
                    cwd=here,
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=120,
                )
                assert done.returncode == code, f"$ {command}\n{done.stdout}"
                assert_like(done.stdout, expected, command)
                ran += 1
        elif block["kind"] == "python":
            done = subprocess.run(
                [sys.executable, "-c", block["text"]], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            assert "A warehouse under seal." in done.stdout
            ran += 1
    assert ran > 12, "expected the README's walk to have more than a dozen steps"


def assert_like(found: str, expected: str, command: str) -> None:
    """`…` in the expected text stands for anything; line by line it may also stand for any number of lines."""
    pattern = "".join(r"[\s\S]*?" if piece == "…" else re.escape(piece) for piece in re.split("(…)", expected.strip()))
    if not re.search(pattern, re.sub(r"[ \t]+\n", "\n", found)):
        pytest.fail(f"$ {command}\nexpected:\n{expected}\nfound:\n{found}")


def test_what_the_readme_names_exists() -> None:
    text = README.read_text()
    for target in re.findall(r"\]\(([\w./-]+)\)", text):
        assert (README.parent / target).exists(), target
    makefile = (README.parent / "Makefile").read_text()
    for target in re.findall(r"make ([a-z-]+)", text):
        assert re.search(rf"(?m)^{target}:", makefile), target
