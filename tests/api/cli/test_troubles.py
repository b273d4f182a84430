"""What people meet on a bad day: typos, full disks, pipes where files belong, folders that cannot be written."""

import errno
import os
import shlex
import sqlite3
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from inbond.api.cli.asking import SHOWN_DEPTH, _tree
from inbond.api.cli.failures import explained, interrupted
from inbond.api.demo.story import ORIGIN, remove_demo
from inbond.registry.lineage import Answer, Hop
from inbond.registry.registry import Registry
from inbond.schemas.errors import InbondError, InvalidInput, StoreError
from inbond.schemas.statements.students import Relation
from tests.api.cli.shell import TEACHER, ok, run

INBOND = str(Path(sys.executable).with_name("inbond"))
ROOM = "free some space, then repeat the command: what is on record is not doubled"


@pytest.mark.usefixtures("warehouse")
def test_a_ruling_says_what_it_is_about() -> None:
    ok("student", "add", "acme/other")
    about = ("--student", "acme/other", "--terms", "tos")
    asked = ok("decide", "ask", *about, "--grounds", "please")
    assert asked.out.splitlines()[1] == "acme/other@1 under tos@2024-01-31"
    lines = ok("decide", "rule", *about, "permit", "--grounds", "yes").out.splitlines()
    assert lines[0].endswith("by compliance's key: permit")
    assert lines[1] == "acme/other@1 under tos@2024-01-31"
    ruled = ok("decide", "rule", *about, "refuse", "--grounds", "no", "--json").json
    assert ruled["subjects"] == ["acme/other@1", "tos@2024-01-31"]


@pytest.mark.usefixtures("warehouse")
def test_one_claimed_hop_makes_the_whole_way_claimed() -> None:
    ok("student", "add", "acme/tuned", "--from", "acme/mini@1:adapter")
    ok("teacher", "add", "acme/tuned@1", "--same-as", "student:acme/tuned", "--create")
    rows = {row["student"]: row["basis"] for row in ok("used-by", TEACHER, "--json").json["students"]}
    assert sorted(rows.values()) == ["claimed", "recorded"]
    [line] = [line for line in ok("used-by", TEACHER).out.splitlines() if line.startswith("acme/tuned")]
    assert line.endswith("claimed")


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_chain_of_thousands_is_shown_to_a_depth(direction: str) -> None:
    names = [f"student:{at:032x}" for at in range(5000)]
    hops = [
        Hop(*((a, b) if direction == "up" else (b, a)), "initialised_from", depth, "claimed")
        for depth, (a, b) in enumerate(pairwise(names), 1)
    ]
    lines = _tree(Answer(names[0], direction, 9, hops=hops, names={name: name for name in names}))
    assert len(lines) == SHOWN_DEPTH + 2
    assert lines[SHOWN_DEPTH - 1].endswith("claimed …")
    assert f"more than {SHOWN_DEPTH} hops away" in lines[-1]


@pytest.mark.usefixtures("warehouse")
def test_what_came_later_is_told_with_its_entry() -> None:
    entry = ok("student", "show", "acme/mini", "--json").json["entry"]
    ok("student", "add", "acme/mini@2")
    done = run("lineage", "acme/mini", "--as-of", entry)
    assert done.code == 7
    assert done.err.startswith(f"error: acme/mini is not on record at size {entry}: it came with entry {entry}\n")
    assert ok("lineage", "acme/mini", "--as-of", entry + 1).out
    assert "no thing is called 'acme/nobody'" in run("lineage", "acme/nobody", "--as-of", entry).err


@pytest.mark.usefixtures("warehouse")
def test_a_typo_is_answered_with_what_may_be_meant() -> None:
    for words, meant in [
        (("student", "show", "acme/mimi"), "acme/mini@1"), (("student", "show", "Acme/Mini@1"), "acme/mini@1"),
        (("dataset", "show", "chatt"), "chat@1"), (("lineage", "openai/gpt4o"), TEACHER),
        (("lineage", "student:acme/mni"), "acme/mini@1"), (("terms", "show", "tos@2024-01-30"), "tos@2024-01-31"),
    ]:  # fmt: skip
        done = run(*words)
        assert done.code == 7, done
        assert f"; did you mean {meant}" in done.err.splitlines()[0]
    assert "did you mean" not in run("student", "show", "zebra").err
    assert run("student", "show", "acme/mimi").err.splitlines()[1] == "  try: inbond student add NAME"


@pytest.mark.usefixtures("warehouse")
def test_dates_are_days_that_exist() -> None:
    adding = ("terms", "add", "policy.txt", "--teacher", TEACHER, "--title", "x")
    ruling = ("decide", "rule", "--student", "acme/mini", "--terms", "tos", "permit", "--grounds", "x")
    for given in ("01.02.2024", "2024-02-30", "2024-1-2", "tomorrow", "2024-01-02\n"):
        for words in [(*adding, "--effective", given), (*adding, "--effective", "2024-01-01", "--until", given),
                      (*ruling, "--until", given)]:  # fmt: skip
            done = run(*words)
            assert (done.code, f"expected YYYY-MM-DD, found {given!r}" in done.err) == (2, True), done
    ok(*ruling, "--until", "2099-12-31T00:00:00.000Z")
    ok(*adding, "--effective", "2024-02-29", "--until", "2024-12-31")


def test_pipes_and_devices_are_refused_at_once(warehouse: Path) -> None:
    os.mkfifo("../pipe")
    for words in (("inspect", "../pipe"), ("verify", "../pipe"), ("inspect", "/dev/zero"), ("verify", "/dev/zero")):
        done = subprocess.run([INBOND, *words], cwd=warehouse, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, "expected a file or folder" in done.stderr) == (2, True), done


def test_a_full_disk_is_told_with_what_to_do(warehouse: Path) -> None:
    told = explained(OSError(errno.ENOSPC, "No space left on device", "a/b"), [])
    assert (told.message, told.hint, told.exit_code) == ("a/b: No space left on device", ROOM, 1)
    assert explained(OSError(errno.EDQUOT, "Quota exceeded", b"a"), []).hint == ROOM
    assert explained(PermissionError(errno.EACCES, "Permission denied", "a"), []).hint is None
    wrapped = StoreError("object x: failed")
    wrapped.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert explained(wrapped, []).hint == ROOM
    assert explained(StoreError("the database refused", hint="inbond doctor"), []).hint == "inbond doctor"
    line = f"{INBOND} dataset list > /dev/full"
    done = subprocess.run(["bash", "-c", line], cwd=warehouse, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "error: standard output: No space left on device")
    assert "Exception ignored" not in done.stderr
    assert "report" not in done.stderr


def test_a_full_database_is_a_full_disk(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "small.db")
    connection.execute("PRAGMA max_page_count=2")
    connection.execute("CREATE TABLE t (a)")
    with pytest.raises(sqlite3.OperationalError) as full:
        connection.execute("INSERT INTO t VALUES (zeroblob(99999))")
    connection.close()
    refused = StoreError("the database refused", hint="inbond doctor")
    refused.__cause__ = full.value
    assert explained(refused, []).hint == ROOM


def test_arguments_that_are_no_text_are_usage(warehouse: Path) -> None:
    Path(os.fsdecode(b"../caf\xe9.txt")).write_text("a file may be called so")
    lines = ([b"party", b"add", b"caf\xe9"], [b"--json", b"student", b"show", b"caf\xe9"], [b"verify", b"caf\xe9"])
    done = in_one_process(*lines, [b"verify", b"../caf\xe9.txt", b"--json"], cwd=warehouse)
    codes, said = done.stdout.split(), done.stderr
    assert codes == [b"2", b"2", b"2", b"7"]
    assert said.count(b"expected arguments in UTF-8, found 'caf") == 3
    assert said.count(b"urn:inbond:problem:not-found") == 1


def in_one_process(*lines: list[bytes], cwd: Path) -> subprocess.CompletedProcess[bytes]:
    """Run command lines, whose words may be any bytes, one after the other; prints the exit code of each."""
    program = (
        "import sys\n"
        "from inbond.api.cli.main import cli\n"
        "for line in ' '.join(sys.argv[1:]).split(' ; '):\n"
        "    print(cli.run(line.split()))\n"
    )
    words = b" ; ".join(b" ".join(line) for line in lines).split(b" ")
    return subprocess.run([sys.executable, "-c", program, *words], cwd=cwd, capture_output=True, timeout=60, check=False)


def test_an_interrupt_says_how_to_go_on() -> None:
    assert interrupted("import", ["import"]).endswith("the same command goes on from there")
    assert interrupted("pull", ["pull", "--out=x"]).endswith("cut short, into another --out FILE")
    assert "segment" not in interrupted("pull", ["pull", "--to", "x"])
    assert interrupted("verify", ["verify"]) == interrupted(None, []) == "interrupted"


def test_a_run_that_was_delivered_to_is_listed_so(warehouse: Path) -> None:
    ok("pull", "chat", "--student", "acme/mini", "--run", "second", "--to", "../delivered")
    by_name = {line.split()[0]: line for line in ok("run", "list").out.splitlines()}
    assert "in files" in by_name["second"]
    assert "delivered" not in by_name["first"]
    assert "in files" in ok("student", "show", "acme/mini").out
    runs = {each["name"]: each["delivered"] for each in ok("run", "list", "--json").json["runs"]}
    assert runs == {"first": False, "second": True}


def test_help_says_what_is_recorded_and_what_may_be_named() -> None:
    assert "delivery" in ok("log", "export", "--help").out
    assert "records a delivery in the ledger" in ok("dataset", "export", "--help").out
    shown = " ".join(ok("student", "add", "--help").out.split())
    assert "inbond teacher add" in shown
    assert all(relation in shown for relation in Relation)


def test_a_demo_replaces_a_demo_and_nothing_else(tmp_path: Path) -> None:
    for name, origin in (("demo", ORIGIN), ("work", "example.org/work")):
        Registry.init(tmp_path / name, origin).close()
        (tmp_path / name / "published").mkdir()
        (tmp_path / name / "published" / "file").write_text("x")
        remove_demo(tmp_path / name)
    assert not list((tmp_path / "demo").iterdir())
    done = run("demo", tmp_path / "work")
    assert (done.code, (tmp_path / "work" / "published" / "file").read_text()) == (8, "x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    assert run("demo", tmp_path / "full").code == 8


# -- registries that cannot be written -----------------------------------------------------------------------------------


def read_only(folder: Path, *commands: str) -> subprocess.CompletedProcess[str]:
    """Run lines of a shell in `folder`, on a mount of it that is read-only."""
    here = shlex.quote(str(folder))
    script = f"mount --bind {here} {here} && mount -o remount,ro,bind {here} || exit 99; cd {here}; " + "; ".join(commands)
    done = subprocess.run(["unshare", "-m", "bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 99 or "unshare failed" in done.stderr:
        pytest.skip("this machine lets nobody mount")
    return done


def test_a_read_only_registry_answers(warehouse: Path) -> None:
    (warehouse / "objects" / "scratch").rmdir()  # as a copy that keeps no empty folders
    asked = ["log head", "lineage acme/mini", "dataset list", "verify", "inspect ../chat.jsonl", "doctor", "party add later"]
    program = f"from inbond.api.cli.main import cli; print([cli.run(line.split()) for line in {asked}])"
    done = read_only(warehouse, f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}")
    assert done.stdout.splitlines()[-1] == "[0, 0, 0, 0, 0, 0, 1]", done
    assert "proved · computed" in done.stdout
    assert done.stderr.count("error:") == 1
    assert "Read-only file system" in done.stderr


def test_newer_content_beside_a_read_only_ledger_is_not_left_out(warehouse: Path) -> None:
    with Registry.open(warehouse) as registry:
        registry.add_party("later")
        wal = (warehouse / "ledger.db-wal").read_bytes()
        done = read_only(warehouse, f"{INBOND} party list")  # whoever writes has made the index that a reader needs
        assert (done.returncode, "later" in done.stdout) == (0, True), done
    (warehouse / "ledger.db-wal").write_bytes(wal)
    done = read_only(warehouse, f"{INBOND} party list")
    assert (done.returncode, "newer content lies in ledger.db-wal" in done.stderr) == (1, True), done


def test_a_log_key_that_may_not_be_read_stops_writers_only(warehouse: Path) -> None:
    (warehouse / "keys" / "log.key").chmod(0o644)
    assert ok("log", "head").out
    assert ok("lineage", "acme/mini").out
    done = run("verify")
    assert (done.code, "log.key: expected a key file that only its owner can read" in done.out) == (6, True)
    done = run("party", "add", "later")
    assert (done.code, "try: chmod 600" in done.err) == (4, True)


def test_problems_of_wrong_texts_are_still_json() -> None:
    assert isinstance(explained(UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"), ["\udcff"]), InvalidInput)
    assert type(explained(UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates"), ["x"])) is InbondError
