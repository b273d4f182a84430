"""Keys on the command line: the log's key rotates, sheets go from admin to admin, doctor and inspect know every file."""

from pathlib import Path

import pytest

from tests.api.cli.shell import ok, run


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry with two admins, which is the current folder; the second admin's key lies beside it."""
    ok("init", "registry", "--origin", "example.org/keys", "--admins", "2", "--threshold", "2")
    monkeypatch.chdir(tmp_path / "registry")
    Path("keys/admin-2.key").rename(tmp_path / "admin-2.key")
    return tmp_path / "registry"


def test_sheets(registry: Path) -> None:
    refused = run("key", "add", "--role", "auditor")
    assert (refused.code, "--out FILE" in refused.err) == (4, True)
    waiting = ok("key", "add", "--role", "auditor", "--out", "../auditor.sheet", "--json").json
    assert (waiting["sheet"], "entry" in waiting) == ("../auditor.sheet", False)
    assert run("key", "add", "--role", "auditor", "--out", "../auditor.sheet").code == 8
    early = run("key", "record", "../auditor.sheet")
    assert (early.code, "expected signatures of 2 admin keys, found 1" in early.err) == (4, True)
    signed = ok("--registry", "nowhere", "key", "sign", "../auditor.sheet", "--key", "../admin-2.key", "--json").json
    assert len(signed["signers"]) == 3  # the enrolled key's among them
    assert signed["says"][0].startswith("enrol auditor key ")
    done = ok("key", "record", "../auditor.sheet")
    assert "entry 4" in done.out
    found = {key["roles"][0]: key for key in ok("key", "list", "--json").json["keys"]}
    assert found["auditor"]["entry"] == 4
    ok("key", "revoke", found["auditor"]["fingerprint"][:9], "--reason", "retired", "--out", "../end.sheet")
    assert "revoke auditor key" in ok("key", "sign", "../end.sheet", "--key", "../admin-2.key").out
    ok("key", "record", "../end.sheet")
    assert run("key", "sign", "../nothing.sheet").code == 7
    assert run("key", "revoke", found["admin"]["fingerprint"][:9], "--reason", "lost").code == 2


def test_the_logs_key_rotates(registry: Path) -> None:
    Path("../admin-2.key").rename("keys/admin-2.key")
    before = Path("policy.txt").read_text().split()[1]
    done = ok("key", "rotate", "log", "--json").json
    assert (done["before"], done["policy"], done["entries"]) == ([before], True, [4])
    assert Path("policy.txt").read_text().split()[1] == done["vkey"]
    table = ok("key", "list").out
    assert "replaced by 4" in table
    said = run("key", "rotate", "log", "--revoke", "compromised", "--suspect-from", "3")
    assert (said.code, "publish it again" in said.err, "restart" in said.err) == (0, True, True)
    lines = Path("policy.txt").read_text().splitlines()
    assert [line for line in lines if done["vkey"] in line] == []  # it was stolen
    assert f"log {before}" in lines  # it was only replaced
    assert ok("log", "audit").out.rstrip().endswith("clean")
    assert ok("verify").code == 0
    assert run("key", "rotate", "log", "--suspect-from", "3").code == 2
    assert run("key", "rotate", "producer").code == 2
    assert ok("doctor").code == 0


@pytest.mark.usefixtures("registry")
def test_every_key_file_is_known() -> None:
    found = ok("inspect", "keys/log-ml-dsa-44.key").out
    assert "a private key: show it to nobody" in found
    assert "enrolled in entry 0 as log" in found
    at_hand = {key["fingerprint"]: key["file"] for key in ok("key", "list", "--json").json["keys"]}
    assert {Path(file).name for file in at_hand.values() if file} >= {"log.key", "log-ml-dsa-44.key", "admin.key"}
    Path("keys/log-ml-dsa-44.key").write_text("PRIVATE+KEY+nonsense\n")
    assert run("doctor").code != 0


@pytest.mark.usefixtures("registry")
def test_a_library_without_ml_dsa_reads_and_says_why_it_cannot_write(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("inbond.ledger.cosignatures", "inbond.registry.home", "inbond.registry.keychain"):
        monkeypatch.setattr(f"{module}.ml_dsa_available", lambda: False)
    assert ok("log", "head", "--json").json["size"] == 4
    refused = run("party", "add", "somebody")
    assert (refused.code, "ML-DSA-44 cannot be used here" in refused.err) == (4, True)
    made = run("init", "../plain", "--origin", "example.org/plain")
    assert (made.code, "signs with Ed25519 alone" in made.err) == (0, True)
    assert "log-ml-dsa-44" not in made.out
