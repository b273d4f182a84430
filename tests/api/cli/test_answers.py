"""What commands answer about a small registry, for people and as JSON; and their exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from inbond.api.cli.failures import explained
from inbond.registry.registry import Registry
from tests.api.cli.shell import TEACHER, ok, run, write_chats

QUESTIONS = [
    ("doctor",), ("party", "list"), ("teacher", "list"), ("teacher", "show", "openai/gpt-4o"), ("terms", "list"),
    ("terms", "show", "tos"), ("terms", "show", "tos", "--text"), ("dataset", "list"), ("dataset", "show", "chat"),
    ("student", "list"), ("student", "show", "acme/mini"), ("run", "list"), ("decide", "list"), ("key", "list"),
    ("check", "chat", "--student", "acme/mini"), ("lineage", "acme/mini"), ("used-by", "openai"), ("verify",),
    ("verify", "chat@1"), ("log", "head"), ("log", "show", "0"), ("log", "audit"), ("inspect", "policy.txt"),
    ("import", "--list"), ("import", "--facts-template"),
]  # fmt: skip


@pytest.mark.usefixtures("warehouse")
def test_every_question_has_a_json_answer_before_and_after_the_command() -> None:
    for words in QUESTIONS:
        told = ok(*words)
        before, after = ok("--json", *words), ok(*words, "--json")
        name = "-".join(word for word in words[:2] if word in ("list", "show", "head", "audit") or word == words[0])
        assert after.json["schema"] == f"urn:inbond:cli:{name}:v1", words
        assert set(before.json) == set(after.json)
        assert not after.err
        assert told.out != after.out


@pytest.mark.usefixtures("warehouse")
def test_lists_say_what_is_there() -> None:
    assert ok("teacher", "list", "--json").json["teachers"][0]["terms"] == ["tos@2024-01-31"]
    [student] = ok("student", "list", "--json").json["students"]
    assert (student["name"], student["runs"], student["releases"]) == ("acme/mini@1", 1, 1)
    [found] = ok("run", "list", "--json").json["runs"]
    assert (found["datasets"], found["samples"], found["segments"], found["outcome"]) == (["chat@1"], 20, 1, "released")
    [asked] = ok("decide", "list", "--json").json["decisions"]
    assert (asked["ruling"], sorted(asked["subjects"])) == ("permit", ["acme/mini@1", "tos@2024-01-31"])
    keys = ok("key", "list", "--json").json["keys"]
    assert {role for key in keys for role in key["roles"]} == {"admin", "compliance", "log", "producer", "registry", "trainer"}
    assert all(key["file"] and len(key["fingerprint"]) == 64 for key in keys)


@pytest.mark.usefixtures("warehouse")
def test_lineage_reads_as_a_tree_and_says_as_of_when() -> None:
    size = ok("log", "head", "--json").json["size"]
    assert ok("lineage", "acme/mini").out.splitlines() == [
        "acme/mini@1",
        f"└─ trained on outputs of {TEACHER} · recorded",
        "      20 rows of 1 shard, in chat@1, by run first",
        "",
        f"computed at ledger size {size}",
    ]
    earlier = ok("lineage", "acme/mini", "--as-of", "9")
    assert "nothing on record above it" in earlier.out
    assert earlier.out.endswith("computed at ledger size 9\n")
    down = ok("lineage", "openai", "--down", "--depth", "1")
    assert f"└─ provides {TEACHER} · claimed" in down.out
    assert "cut off by --depth 1" in down.out
    assert run("lineage", "acme/mini", "--as-of", size + 1).code == 2


def test_a_student_that_teaches_is_shown_over_two_hops(warehouse: Path) -> None:
    ok("teacher", "add", "example.org/mini@1", "--same-as", "acme/mini", "--create")
    lines = ok("lineage", "example.org/mini").out.splitlines()
    assert lines[1].startswith("└─ is the student acme/mini@1")
    assert lines[2].startswith(f"   └─ trained on outputs of {TEACHER}")
    found = ok("used-by", "openai", "--json").json
    [row] = found["students"]
    assert (found["names"][row["student"]], row["rows"], row["depth"], row["basis"]) == ("acme/mini@1", 20, 1, "recorded")
    assert ok("used-by", TEACHER, "--json").json["students"] == found["students"]
    assert ok("used-by", TEACHER, "--since", "2099-01-01", "--json").json["students"] == []
    assert run("used-by", "chat", "--since", "2099-01-01").code == 2  # clocks are about teachers


def test_what_a_person_would_type_names_things(warehouse: Path) -> None:
    [item] = ok("dataset", "list", "--json").json["datasets"]
    identifier = item["ref"].partition(":")[2]
    for text in ("chat", "chat@1", item["ref"], identifier[:6], identifier):
        assert ok("dataset", "show", text, "--json").json["ref"] == item["ref"]


@pytest.mark.usefixtures("warehouse")
def test_usage_is_2() -> None:
    for words in [("improt",), ("import",), ("import", "messages", "../chat.jsonl"), ("lineage", "x", "--depth", "0"),
                  ("decide", "rule", "maybe", "--grounds", "x"), ("import", "messages", "missing.jsonl", "--teacher", "a/b"),
                  ("terms", "add", "policy.txt", "--effective", "x")]:  # fmt: skip
        done = run(*words)
        assert (done.code, done.out) == (2, ""), words
        assert done.err.startswith("error: ")
        assert "  try: inbond " in done.err
    assert run("improt").err.splitlines()[0].endswith("Did you mean 'import'?")
    assert run("import", "--json").problem["type"] == "urn:inbond:problem:invalid-input"
    assert "give the records --out" in run("pull", "chat", "--student", "s", "--run", "x", "--json").problem["detail"]


@pytest.mark.usefixtures("warehouse")
def test_jobs_are_how_many_processes_convert(monkeypatch: pytest.MonkeyPatch) -> None:
    import_files, told = Registry.import_files, []

    def noted(*given: Any, jobs: int | None, **options: Any) -> Any:
        told.append(jobs)
        return import_files(*given, **options)

    monkeypatch.setattr(Registry, "import_files", noted)
    for jobs in ((), ("--jobs", "3")):
        ok("import", "messages", "../chat.jsonl", "--teacher", TEACHER, *jobs)
    assert told == [None, 3]
    assert run("import", "messages", "../chat.jsonl", "--teacher", TEACHER, "--jobs", "0").code == 2


@pytest.mark.usefixtures("warehouse")
def test_a_wrong_format_or_option_is_told() -> None:
    assert run("import", "csv", "../chat.jsonl", "--teacher", TEACHER).code == 7
    done = run("import", "messages", "../chat.jsonl", "--teacher", TEACHER, "--option", "own_turns=some")
    assert done.code == 2
    assert "expected none or all, found 'some'" in done.err


def test_a_flipped_byte_is_3_and_named(warehouse: Path) -> None:
    [shard] = (warehouse / "objects").glob("sha256/*/*.blocks")
    path = shard.with_suffix("")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    done = run("verify")
    assert done.code == 3
    assert "differs: shard:" in done.out
    assert done.out.splitlines()[-1].startswith("differs · computed at ledger size")
    assert run("verify", "--json").json["verdict"] == "differs"
    ref = ok("inspect", "../chat.jsonl", "--json").json["on_record"][0]
    assert ref in done.out
    refused = run("prove-record", ref, "3", "--out", "../proof.json")
    assert (refused.code, Path("../proof.json").exists()) == (3, False)


def test_a_missing_key_is_4(warehouse: Path) -> None:
    (warehouse / "keys" / "trainer.key").unlink()
    done = run("student", "add", "acme/other")
    assert done.code == 4
    assert "try: inbond key add --role trainer" in done.err


@pytest.mark.usefixtures("warehouse")
def test_a_shut_gate_is_5_and_says_what_would_open_it() -> None:
    ok("student", "add", "acme/other")
    done = run("check", "chat", "--student", "acme/other")
    assert done.code == 5
    assert "needs authorisation · computed at ledger size" in done.out
    settle = "inbond decide rule --student acme/other@1 --terms tos@2024-01-31 permit --grounds TEXT"
    ask = "inbond decide ask --student acme/other@1 --terms tos@2024-01-31 --grounds TEXT"
    assert done.err.splitlines()[-2:] == [f"  try: {ask}", f"  try: {settle}"]
    pulled = run("pull", "chat", "--student", "acme/other", "--run", "x", "--out", "../out.jsonl")
    assert (pulled.code, pulled.out, Path("../out.jsonl").exists()) == (5, "", False)
    both = run("check", "chat", "--student", "acme/other", "--json")
    assert both.json["verdict"] == both.problem["verdict"] == "needs_authorisation"
    ok(*settle.replace("TEXT", "fine").split()[1:])
    assert ok("check", "chat", "--student", "acme/other", "--json").json["verdict"] == "permitted"


def test_an_audit_without_a_registry_is_6(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ok("log", "export", "../published")
    assert "clean" in ok("log", "audit", "../published").out
    monkeypatch.chdir(warehouse.parent)
    done = run("log", "audit", "published")
    assert (done.code, done.out.splitlines()[-1]) == (6, "inconclusive")
    wrong = run("log", "audit", "published", "--genesis", "0" * 64, "--json")
    assert (wrong.code, wrong.json["verdict"]) == (3, "differs")


def test_what_is_not_there_is_7(tmp_path: Path) -> None:
    done = run("dataset", "list")
    assert done.code == 7
    assert "inbond init DIR --origin NAME" in done.err
    assert run("--registry", tmp_path / "nowhere", "log", "head").code == 7
    assert run("dataset", "list", "--json").problem["type"] == "urn:inbond:problem:not-found"


@pytest.mark.usefixtures("warehouse")
def test_what_exists_and_differs_is_8() -> None:
    assert run("init", ".", "--origin", "example.org/other").code == 8
    assert run("party", "add", "openai").code == 8
    assert run("pull", "chat", "--student", "acme/mini", "--run", "x", "--out", "../batch.jsonl").code == 8
    assert run("log", "prove", "1", "--out", "policy.txt").code == 8


def test_the_registry_may_be_named_in_every_place(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(warehouse / "keys")
    assert ok("log", "head").out  # a folder above
    monkeypatch.chdir("/")
    for words in [("--registry", warehouse, "log", "head"), ("log", "--registry", warehouse, "head"),
                  ("log", "head", "--registry", warehouse)]:  # fmt: skip
        assert ok(*words, "--json").json["origin"] == "example.org/warehouse"
    monkeypatch.setenv("INBOND_REGISTRY", str(warehouse))
    assert ok("log", "head").out
    assert run("log", "head", "--registry", warehouse.parent).code == 7  # the line wins over the environment
    assert run("log", "head", "--registry", "ftp://example.org").code == 2
    assert "INBOND_POLICY" in run("log", "head", "--registry", "https://example.org").err
    for words in (["doctor"], ["log", "export", "published"]):
        done = run(*words, "--registry", "https://example.org")
        assert (done.code, Path("published").exists()) == (2, False)


def test_an_unexpected_error_is_one_line(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (warehouse / "policy.txt").unlink()
    (warehouse / "policy.txt").mkdir()
    done = run("verify")
    assert done.code == 1
    assert done.err == f"error: {warehouse / 'policy.txt'}: Is a directory\n"
    monkeypatch.setenv("INBOND_DEBUG", "1")
    assert "Traceback" in run("verify").err
    assert json.loads(run("verify", "--json").err.splitlines()[-1])["type"] == "urn:inbond:problem:store-failed"
    told = explained(ZeroDivisionError("by zero"), ["verify"])
    assert (told.message, told.exit_code) == ("unexpected ZeroDivisionError: by zero", 1)
    assert "please report it" in (told.hint or "")


@pytest.mark.usefixtures("warehouse")
def test_an_import_counts_what_it_met() -> None:
    path = write_chats(Path("../more.jsonl"), 3, start=100)
    path.write_text(path.read_text() + '{"messages": 5}\n{"messages": [\n')
    refused = run("import", "messages", path, "--teacher", TEACHER, "--dataset", "chat")
    assert (refused.code, "--append" in refused.err) == (8, True)
    failed = run("import", "messages", path, "--teacher", TEACHER, "--dataset", "chat", "--append")
    assert failed.code == 2
    assert "line 4, record 4, field messages: expected" in failed.err
    assert len(ok("dataset", "list", "--json").json["datasets"]) == 1
    done = ok(
        *("import", "messages", path, "--teacher", TEACHER, "--dataset", "chat", "--append"),
        *("--on-error", "skip", "--rejects", "../no.jsonl"),
    )
    assert "rejected         2 (malformed-json 1, wrong-type 1)" in done.out
    given = path.read_bytes()
    again = run("import", "messages", path, "--teacher", TEACHER, "--on-error", "skip", "--rejects", path)
    assert (again.code, path.read_bytes()) == (8, given)
    assert "dataset          chat@2" in done.out
    assert "facts are recorded as not known; to declare them: inbond declare " in done.err
    assert [json.loads(line)["line"] for line in Path("../no.jsonl").read_text().splitlines()] == [4, 5]
    again = ok("import", "messages", "../chat.jsonl", "--teacher", TEACHER, "--json").json
    assert (again["unchanged"], again["shards_written"], again["records"]) == (True, 0, 20)


@pytest.mark.usefixtures("warehouse")
def test_the_facts_template_is_what_facts_takes() -> None:
    template = ok("import", "--facts-template").out
    wanted = ('#created_by = "operator"', "#[teacher]", "#pinned = false")
    chosen = [next(line for line in template.splitlines() if line.startswith(start))[1:] for start in wanted]
    Path("../facts.toml").write_text("\n".join(chosen))
    write_chats(Path("../other.jsonl"), 2)
    ok("import", "messages", "../other.jsonl", "--teacher", "acme/new@1", "--create", "--facts", "../facts.toml")
    assert ok("teacher", "show", "acme/new", "--json").json["body"]["pinned"] == {"known": False}


@pytest.mark.usefixtures("warehouse")
def test_evidence_can_be_verified_by_path() -> None:
    ok("dataset", "export", "chat", "../bundle")
    assert ok("verify", "../bundle").out.splitlines()[-1] == "proved"
    ok("log", "prove", "0", "--out", "../0.tlog-proof")
    assert ok("verify", "../0.tlog-proof", "--json").json["verdict"] == "proved"
    shard = ok("dataset", "show", "chat", "--json").json["parts"][0]["shard"]
    ok("prove-record", shard, "3", "--out", "../record.json")
    assert "row 3 of " + shard in ok("verify", "../record.json").out
    record = Path("../record.json")
    record.write_text(record.read_text().replace("It is 4.", "It is 5."))
    assert run("verify", record).code == 3
    assert "released weights" not in ok("verify", "../weights.bin").out
    assert run("verify", "../batch.jsonl").code == 7
    [file] = Path("../bundle/shards").iterdir()
    data = bytearray(file.read_bytes())
    data[99] ^= 1
    file.write_bytes(data)
    done = run("verify", "../bundle")
    assert (done.code, done.out.splitlines()[-1]) == (3, "differs")
    assert f"FAILED  {file}" in done.out


@pytest.mark.usefixtures("warehouse")
def test_files_are_told_from_their_bytes() -> None:
    ok("dataset", "export", "chat", "../bundle")
    ok("log", "prove", "1", "--out", "../1.tlog-proof")
    [shard] = Path("../bundle/shards").iterdir()
    for path, what, known in [
        (shard, "a text shard", True), ("../tos.txt", "the text of terms", True), ("../weights.bin", "released weights", True),
        ("../chat.jsonl", "a file that was imported", True), ("../batch.jsonl", "a file", False),
        ("../1.tlog-proof", "a receipt (tlog-proof)", False), ("../bundle", "a bundle", False), (".", "a registry", False),
        ("policy.txt", "a trust policy (tlog-policy)", False), ("keys/admin.key", "a private key: show it to nobody", False),
    ]:  # fmt: skip
        found = ok("inspect", path, "--json").json
        assert (found["is"], bool(found["on_record"])) == (what, known), path
    assert "entry 1 here is the same" in ok("inspect", "../1.tlog-proof").out
    assert "enrolled in entry 0 as admin" in ok("inspect", "keys/admin.key").out


def test_keys_come_and_go(warehouse: Path) -> None:
    added = ok("key", "add", "--role", "auditor", "--json").json
    assert Path(added["file"]).is_file()
    ok("key", "revoke", added["fingerprint"][:8], "--reason", "superseded")
    [state] = [key for key in ok("key", "list", "--json").json["keys"] if key["fingerprint"] == added["fingerprint"]]
    assert state["revoked"] > state["entry"]
    assert run("key", "revoke", "ffff", "--reason", "lost").code == 7


@pytest.mark.usefixtures("warehouse")
def test_an_open_ask_is_ruled_on_instead_of_asking_again() -> None:
    ok("student", "add", "acme/other")
    asked = ok("decide", "ask", "--student", "acme/other", "--terms", "tos", "--grounds", "please", "--json").json["ref"]
    assert ok("decide", "list", "--json").json["decisions"][0]["ref"] == asked
    ruled = ok("decide", "rule", "--student", "acme/other", "--terms", "tos", "refuse", "--grounds", "no", "--json").json
    assert ruled["asked"] is None
    assert [d["ruling"] for d in ok("decide", "list", "--json").json["decisions"] if d["ref"] == asked] == ["refuse"]
    other = ok("decide", "ask", "--student", "acme/other", "--terms", "tos", "--grounds", "now?", "--json").json["ref"]
    ok("decide", "rule", other.partition(":")[2][:8], "permit", "--grounds", "yes")
    about = ("--student", "acme/other", "--terms", "tos", "permit", "--grounds", "their letter")
    assert "expected the document that grants an exception" in run("decide", "rule", *about, "--exception").err
    Path("letter.txt").write_text("You may.")
    given = ("--exception", "--evidence", "letter.txt", "--scope", "this model", "--until", "2099-01-01")
    entry = ok("decide", "rule", *about, *given, "--json").json["entry"]
    assert "text/plain" in json.dumps(ok("log", "show", str(entry), "--json").json)
    assert run("decide", "ask", "--student", "acme/other", "--about", "chat", "--grounds", "x", "--exception").code == 2
    assert run("decide", "rule", other, "permit", "--grounds", "x", "--exception").code == 2
    assert run("check", "chat", "--student", "acme/other").code == 0


@pytest.mark.usefixtures("warehouse")
def test_terms_take_their_scope_from_a_teacher() -> None:
    ok("teacher", "add", "acme/big[x]@1", "--create", "--access-path", "weights")
    Path("../licence.txt").write_text("text\n")
    done = ok("terms", "add", "../licence.txt", "--teacher", "acme/big[x]", "--effective", "2025-01-01", "--json").json
    assert (done["name"], done["access_path"]) == ("licence@2025-01-01", "weights")
    [teacher] = [item for item in ok("teacher", "list", "--json").json["teachers"] if item["name"] == "acme/big[x]@1"]
    assert teacher["terms"] == ["licence@2025-01-01"]
    assert ok("terms", "show", "licence", "--text").out == "text\n"


@pytest.mark.usefixtures("warehouse")
def test_rebuild_changes_no_answer() -> None:
    before = [ok(*words, "--json").out for words in QUESTIONS if words[-1] == "list"]
    ok("rebuild")
    assert [ok(*words, "--json").out for words in QUESTIONS if words[-1] == "list"] == before
