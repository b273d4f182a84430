"""The real command in real processes: six commands from nothing to a verified batch, pipes that break, interrupts."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.api.cli.shell import TEACHER, write_chats

INBOND = str(Path(sys.executable).with_name("inbond"))


def inbond(cwd: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([INBOND, *words], cwd=cwd, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done
    return done


def test_six_commands_lead_from_nothing_to_a_verified_batch(tmp_path: Path) -> None:
    write_chats(tmp_path / "chat.jsonl", 5)
    (tmp_path / "tos.txt").write_text("terms\n")
    inbond(tmp_path, "init", "warehouse", "--origin", "example.org/warehouse")
    here = tmp_path / "warehouse"
    inbond(here, "import", "messages", "../chat.jsonl", "--teacher", TEACHER, "--create")
    inbond(here, "student", "add", "acme/mini")
    inbond(here, "terms", "add", "../tos.txt", "--teacher", TEACHER, "--effective", "2024-01-31")
    inbond(here, "decide", "rule", "--student", "acme/mini", "--terms", "tos", "permit", "--grounds", "reviewed")
    batch = inbond(here, "pull", "chat", "--student", "acme/mini", "--run", "first").stdout
    assert [json.loads(line)["response"] for line in batch.splitlines()] == [f"It is {at}." for at in range(1, 6)]
    assert inbond(here, "verify").stdout.splitlines()[-1].startswith("proved")


def test_a_reader_that_leaves_is_no_reason_to_talk(warehouse: Path) -> None:
    # No reader at all: the first write already breaks.
    line = f"{INBOND} pull chat --student acme/mini --run second | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", f"sleep 0.1; {line}"], cwd=warehouse, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert "error" not in done.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGINT"), reason="no signals here")
def test_an_interrupt_is_130(warehouse: Path) -> None:
    write_chats(warehouse.parent / "many.jsonl", 5000)
    inbond(warehouse, "import", "messages", "../many.jsonl", "--teacher", TEACHER)
    words = [INBOND, "pull", "many", "--student", "acme/mini", "--run", "second"]
    with subprocess.Popen(words, cwd=warehouse, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)  # it has begun; now the pipe fills, and it waits
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(timeout=60) == 130
        assert process.stderr.read().splitlines()[-1] == b"interrupted"
    assert inbond(warehouse, "log", "audit").stdout.splitlines()[-1] == "clean"
