"""Imports by several processes: the same shards, the same errors, and nothing left of them whatever ends them."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict

from inbond.registry import importing
from inbond.registry.importers import Rejected, workers
from inbond.registry.importing import ImportResult
from inbond.registry.shards import logits_writer, writer
from inbond.schemas.errors import InbondError, InvalidInput
from tests.registry.world import World, messages

TEACHER = "acme/base@1"


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that imports start from now on."""
    found: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def started(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        found.append(start(*arguments, **options))
        return found[-1]

    monkeypatch.setattr(workers.subprocess, "Popen", started)
    return found


def chat(path: Path, name: str, rows: int) -> Path:
    """Chat completions with log-probabilities, one in ten without; a name of tokens that comes again elsewhere."""
    lines = []
    for number in range(rows):
        entry = '{"token": "%s", "bytes": null, "logprob": -0.25%s}'
        tokens = [f"{name}{number}", "same", f"t{number % 7}"]
        content = ", ".join(entry % (t, ', "top_logprobs": [' + entry % (t, "") + "]") for t in tokens)
        logprobs = "null" if number % 10 == 3 else f'{{"content": [{content}], "refusal": null}}'
        lines.append(
            f'{{"id": "{name}{number % 50}", "choices": [{{"index": 0, "message": {{"role": "assistant", '
            f'"content": "{"x" * (number % 90)}"}}, "logprobs": {logprobs}, "finish_reason": "stop"}}]}}'
        )
        if number % 40 == 9:
            lines.append('{"choices": 7}')
    path.write_text("\n".join(lines))
    return path


def many(folder: Path, files: int) -> list[Path]:
    """As many `messages` files, of more together than pipes hold."""
    turns = [{"role": "assistant", "content": "words " * 8_000}]
    lines = b"\n".join(json.dumps({"messages": turns, "n": number}).encode() for number in range(10))
    paths = [folder / f"{number}.jsonl" for number in range(files)]
    for path in paths:
        path.write_bytes(lines)
    return paths


def test_several_processes_write_the_same_shards(
    make_world: Callable[..., World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: list[subprocess.Popen[bytes]]
) -> None:
    files = [chat(tmp_path / f"{name}.jsonl", name, 180) for name in "ab"]

    def made(jobs: int) -> tuple[Any, ...]:
        numbers = count()

        def salts(size: int) -> bytes:
            return next(numbers).to_bytes(2) * (size // 2)

        monkeypatch.setitem(writer.write_shard.__kwdefaults__, "salts", salts)
        monkeypatch.setattr(logits_writer, "token_bytes", salts)
        world, rejects, told = make_world(f"by-{jobs}"), list[Rejected](), list[tuple[str, int, int]]()
        result: ImportResult = world.registry.import_files(
            "chat-completions", files, teacher=TEACHER, dataset="d", jobs=jobs, max_rows=100,
            on_reject=rejects.append, progress=lambda *given: told.append(given),
        )  # fmt: skip
        counts = (result.records, result.empty, result.rejected, result.duplicate_ids)
        world.check()
        bodies = [world.body(ref) for ref in result.shards]
        assert [body.text_shard for body in bodies[1::2]] == result.shards[::2]  # a name of its own in each log
        told_of = [{name: value for name, value in asdict(body).items() if name != "text_shard"} for body in bodies]
        return counts, told_of, rejects, told[-1]

    alone = made(1)
    assert processes == []
    assert made(5) == alone
    assert alone[0] == (360, 4, {"wrong-type": 10}, 260)
    assert [body["kind"] for body in alone[1]] == ["text", "logits"] * 4
    assert len(processes) == 2  # no more than there are units
    assert all(process.poll() is not None for process in processes)


def test_an_error_in_the_second_input_is_that_of_one_process(
    world: World, tmp_path: Path, processes: list[subprocess.Popen[bytes]]
) -> None:
    files = many(tmp_path, 3)
    with files[1].open("ab") as file:
        file.write(b'\n\n{"messages": 7}\n')
    before = world.size()
    errors = []
    for jobs in (1, 2):
        with pytest.raises(InvalidInput, match=r"1.jsonl, line 12, record 11, field messages: expected") as caught:
            world.registry.import_files("messages", files, teacher=TEACHER, dataset="d", jobs=jobs)
        errors.append((caught.value.message, caught.value.members, caught.value.hint))
    assert errors[0] == errors[1]
    assert world.size() == before
    assert not any((world.registry.store.folder / "scratch").iterdir())
    assert [process.poll() for process in processes] == [-signal.SIGKILL] * 2


def test_an_import_whose_process_was_killed_goes_on_where_it_was(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: list[subprocess.Popen[bytes]]
) -> None:
    files = many(tmp_path, 16)
    monkeypatch.setattr(workers, "WAITING", 1)  # so that no process is through before it is killed

    def kill(what: str, done: int, total: int) -> None:
        if what == "reading" and done * 2 > total:
            processes[0].kill()

    options = {"teacher": TEACHER, "dataset": "d", "max_rows": 20}
    with pytest.raises(InbondError, match=r"expected it to go on, found its end by signal 9 \(SIGKILL\)"):
        world.registry.import_files("messages", files, jobs=2, progress=kill, **options)
    assert all(process.poll() is not None for process in processes)
    assert not any((world.registry.store.folder / "scratch").iterdir())
    there = [row["ref"] for row in world.rows()["shards"]]
    result = world.registry.import_files("messages", files, **options)
    assert (len(result.shards), len(there)) == (8, len(world.rows()["shards"]) - result.written)
    assert 0 < result.written < 8
    assert [world.body(ref).ordinal for ref in result.shards] == list(range(8))
    world.check()


ENDING = """
import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell takes away from what runs in the background
from inbond.registry.importers import workers
from inbond.registry.registry import Registry
workers.WAITING = 1
start, processes = subprocess.Popen, []
def started(*given, **options):
    processes.append(start(*given, **options))
    return processes[-1]
workers.subprocess.Popen = started
def progress(what, done, total):
    if what == "reading":
        print(*(process.pid for process in processes), flush=True)
        sys.stdin.read()
with Registry.open(sys.argv[1]) as registry:
    registry.import_files("messages", sys.argv[2:], teacher="acme/base@1", dataset="d", jobs=2, progress=progress)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_process_outlives_the_import(world: World, tmp_path: Path, how: signal.Signals) -> None:
    command = [sys.executable, "-c", ENDING, str(world.folder), *map(str, many(tmp_path, 16))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as import_:
        assert import_.stdout is not None
        pids = [int(pid) for pid in import_.stdout.readline().split()]
        assert len(pids) == 2, import_.communicate()
        import_.send_signal(how)
        # Its end of standard error is what the processes have as well: it ends with the last of them.
        _, errors = import_.communicate()
    assert import_.returncode == -how
    assert errors.count("Traceback") == errors.count("KeyboardInterrupt") == (how == signal.SIGINT)


def test_little_input_is_converted_in_this_process(
    world: World, tmp_path: Path, processes: list[subprocess.Popen[bytes]]
) -> None:
    file = messages(tmp_path / "a.jsonl", "a", 3)
    assert world.registry.import_files("messages", [file], teacher=TEACHER, dataset="d").records == 3
    assert processes == []


def test_much_input_is_converted_by_as_many_as_there_are_cores(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def apart(format: Any, sources: Any, options: Any, jobs: int, begin: Any, progress: Any) -> Any:
        asked.append(jobs)
        list(map(begin, sources))
        return format.records(sources, options, progress)

    monkeypatch.setattr(importing, "convert_apart", apart)
    monkeypatch.setattr(importing, "MUCH", 1)
    files = [messages(tmp_path / f"{name}.jsonl", name, 3) for name in "ab"]
    for cores in (1, 8):
        monkeypatch.setattr(importing, "cores", lambda: cores)  # noqa: B023
        world.registry.import_files("messages", files, teacher=TEACHER, dataset=f"by-{cores}", max_rows=10 + cores)
    assert asked == [8]


def test_jobs_are_at_least_one(world: World, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="jobs: expected at least one, found 0"):
        world.registry.import_files("messages", [tmp_path / "a"], teacher=TEACHER, dataset="d", jobs=0)
