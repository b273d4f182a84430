"""The real command in real processes: six commands from nothing to a verified batch, pipes that break, interrupts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.api.cli.shell import TEACHER, write_chats

INBOND = str(Path(sys.executable).with_name("inbond"))


def inbond(cwd: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([INBOND, *words], cwd=cwd, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done
    return done


def test_a_reader_that_leaves_is_no_reason_to_talk(warehouse: Path) -> None:
    # No reader at all: the first write already breaks.
    line = f"{INBOND} pull chat --student acme/mini --run second | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", f"sleep 0.1; {line}"], cwd=warehouse, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert "error" not in done.stderr
    assert done.returncode == 141


def test_an_interrupt_is_130(warehouse: Path) -> None:
    write_chats(warehouse.parent / "many.jsonl", 5000)
    inbond(warehouse, "import", "messages", "../many.jsonl", "--teacher", TEACHER)
    words = [
        "env",
        "--default-signal=INT",
        INBOND,
        "pull",
        "many",
        "--student",
        "acme/mini",
        "--run",
        "second",
    ]  # if we ignore it
    with subprocess.Popen(words, cwd=warehouse, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)  # it has begun; now the pipe fills, and it waits
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(timeout=60) == 130
        assert process.stderr.read().decode().splitlines()[-1] == (
            "interrupted: the next pull of this run goes on at the segment that was cut short"
        )
    assert inbond(warehouse, "log", "audit").stdout.splitlines()[-1] == "clean"
