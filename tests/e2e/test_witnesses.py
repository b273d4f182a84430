"""A registry, two witnesses in processes of their own, and a reader who believes what both have seen, with one file."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from inbond.ledger import receipts
from inbond.ledger.policy import TrustPolicy
from inbond.ledger.publishing import PublishedHeads
from inbond.ledger.witnessing import Witnessing
from inbond.registry.registry import Registry
from inbond.schemas.errors import VerificationError
from tests.api.cli.shell import Done, ok, run
from tests.api.witness_server import wait_until
from tests.registry.places.served import serving_folder

ROOT = Path(__file__).resolve().parents[2]
INBOND = Path(sys.executable).with_name("inbond")


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("INBOND_REGISTRY", raising=False)
    monkeypatch.chdir(tmp_path)
    ok("init", "warehouse", "--origin", "example.org/warehouse")
    monkeypatch.chdir(tmp_path / "warehouse")
    return tmp_path / "warehouse"


@contextmanager
def serving(folder: Path, name: str, policy: Path, *keys: Path) -> Iterator[str]:
    """A witness in a process of its own; its address."""
    state = folder / f"{name}.db"
    words = [word for key in keys for word in ("--key", str(key))] + ([] if state.exists() else ["--new"])
    command = [str(INBOND), "witness", "serve", "--state", str(state), "--policy", str(policy), "--port", "0", "--json", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder) as process:
        assert process.stdout is not None
        lines = ""
        while not lines.endswith("}\n"):
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            lines += line
        yield json.loads(lines)["address"]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 0


def verified(folder: Path, policy: Path, warehouse: Path, into: str) -> subprocess.CompletedProcess[str]:
    """Receipts of every entry, refreshed with what the witnesses said, under the eyes of `inbond-verify` as a lone file."""
    bundle = folder / into
    (bundle / "receipts").mkdir(parents=True)
    with Registry.open(warehouse) as registry, registry.reading() as reader:
        trust = TrustPolicy.parse(policy.read_bytes())
        made = Witnessing(registry.log, trust.witnesses, warehouse)
        for seq in range(reader.size):
            receipt = PublishedHeads(made.kept, trust).receipt(reader, seq)
            (bundle / "receipts" / f"{seq}.tlog-proof").write_bytes(receipt.to_bytes())
        made.stop()
        genesis = registry.home.genesis.hex()
    alone = folder / "alone"
    alone.mkdir(exist_ok=True)
    shutil.copy(ROOT / "ledger" / "verify.py", alone / "verify.py")
    command = [sys.executable, "-I", "verify.py", "--policy", str(policy), "--genesis", genesis, str(bundle)]
    return subprocess.run(command, capture_output=True, text=True, cwd=alone, env={"PATH": os.environ["PATH"]}, check=False)


def status(*words: str) -> Done:
    return run("witness", "status", "--json", *words)


def test_a_receipt_counts_only_with_the_quorum(warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Witnessing.__init__.__kwdefaults__, "every", 0.2)  # seconds between two rounds; ten, without us
    known = warehouse / "policy.txt"
    log = known.read_text().splitlines()[0]
    keys = {name: tmp_path / f"{name}.key" for name in ("one", "two", "pq")}
    made = {name: ("witness", "key", path, "--name", f"w.example/{name}", "--json") for name, path in keys.items()}
    vkeys = {name: ok(*line, *(["--kind", "ml-dsa-44"] if name == "pq" else [])).json["vkey"] for name, line in made.items()}
    with (
        serving(tmp_path, "first", known, keys["one"], keys["pq"]) as first,
        serving(tmp_path, "second", known, keys["two"]) as second,
    ):
        urls = {"one": first, "pq": first, "two": second}
        lines = [log, *(f"witness {name} {vkeys[name]} {urls[name]}" for name in keys)]

        def policy(name: str, *rest: str) -> Path:
            path = tmp_path / f"{name}.policy"
            path.write_text("\n".join([*lines, *rest]) + "\n")
            return path

        everybody = policy("all", "group everybody all one two pq", "quorum everybody")
        two_of_three = policy("most", "group most 2 one two pq", "quorum most")
        known.write_bytes(everybody.read_bytes())

        before = status("--no-ask")
        assert (before.code, before.json["accepted"]) == (6, None)
        refused = verified(tmp_path, everybody, warehouse, "before")
        assert refused.returncode == 3
        assert "expected cosignatures that meet the quorum 'everybody', found none" in refused.stdout

        asked = status()
        assert asked.code == 0, asked
        assert asked.json["accepted"] == asked.json["size"]
        for each in (everybody, two_of_three):
            accepted = verified(tmp_path, each, warehouse, f"with-{each.stem}")
            assert accepted.returncode == 0, accepted.stdout
        newest = httpx.get(f"{first}/{'0' * 64}/checkpoint", trust_env=False)
        assert newest.status_code == 404

    ok("party", "add", "Somebody")  # and now the second witness is away
    with serving(tmp_path, "first", known, keys["one"], keys["pq"]) as first:
        lines = [line.replace(urls["one"], first) for line in lines]
        known.write_bytes(policy("all", "group everybody all one two pq", "quorum everybody").read_bytes())
        missing = status()
        assert missing.code == 6
        assert missing.json["accepted"] == missing.json["size"] - 1
        assert [each["problem"] is None for each in missing.json["witnesses"]] == [True, True, False]
        refused = verified(tmp_path, known, warehouse, "later")  # the newest entry is under no checkpoint that both have seen
        assert refused.returncode == 3
        assert "found one, pq" in refused.stdout
        known.write_bytes(policy("most", "group most 2 one two pq", "quorum most").read_bytes())
        assert status().code == 0
        assert verified(tmp_path, known, warehouse, "later-most").returncode == 0
    shown = ok("witness", "status", "--state", tmp_path / "first.db", "--json").json
    assert [(each["origin"], each["size"]) for each in shown["logs"]] == [("example.org/warehouse", missing.json["size"])]


def test_mistakes_of_operators(warehouse: Path, tmp_path: Path) -> None:
    policy, key = warehouse / "policy.txt", tmp_path / "w.key"
    vkey = ok("witness", "key", key, "--name", "w.example").out.strip()
    assert run("witness", "key", key, "--name", "w.example").code == 8  # never over another key
    state = tmp_path / "w.db"
    serve = ("witness", "serve", "--state", state, "--port", "0")
    missing = run(*serve, "--key", key, "--policy", policy)
    assert (missing.code, "--new" in missing.err) == (7, True)
    assert run(*serve, "--key", key, "--new").code == 2
    assert run(*serve, "--key", key, "--new", "--policy", policy, "--logs", policy).code == 2
    assert run(*serve, "--key", key, "--new", "--logs", policy).code == 2
    log_key = next((warehouse / "keys").rglob("log.key"))
    reused = run(*serve, "--key", log_key, "--new", "--policy", policy)
    assert (reused.code, "type 01" in reused.err) == (3, True)
    key.chmod(0o644)
    assert run(*serve, "--key", key, "--new", "--policy", policy).code == 4
    assert not state.exists()
    nobody = status()
    assert (nobody.code, nobody.json["witnesses"]) == (0, [])
    log = policy.read_text().splitlines()[0]
    policy.write_text(f"{log}\nwitness a {vkey} ftp://w\nquorum a\n")
    assert status().code == 2
    assert run("serve", "--port", "0").code == 2  # no server forgets its witnesses
    policy.write_text("nonsense\n")
    unread = run("serve", "--port", "0")
    assert (unread.code, "policy.txt: expected the registry's trust policy" in unread.err) == (2, True)
    policy.write_text(f"{log}\nwitness a {vkey}\nquorum a\n")
    assert status().code == 6
    assert "no witness with an address" in run("witness", "status").out
    assert run("witness", "status", "--state", policy).code == 3
    assert run("witness", "status", "--state", state).code == 7


def accepted(policy: Path, note: bytes) -> int | None:
    """The size of a checkpoint that a policy accepts, None for another."""
    try:
        return TrustPolicy.parse(policy.read_bytes()).open_checkpoint(note).size
    except VerificationError:
        return None


def test_receipts_exports_and_bundles_get_what_witnesses_say_later(
    warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, key = warehouse / "policy.txt", tmp_path / "w.key"
    vkey = ok("witness", "key", key, "--name", "w.example").out.strip()
    log = policy.read_text().splitlines()[0]

    def doctor() -> tuple[str, str]:
        return {each["what"]: (each["status"], each["text"]) for each in run("doctor", "--json").json["checks"]}["witnesses"]

    def witnessed(url: str) -> None:
        policy.write_text(f"{log}\nwitness w {vkey} {url}\nquorum w\n")

    assert doctor() == ("ok", "policy.txt names none")
    with serving(tmp_path, "w", policy, key) as url:
        witnessed(url)
        assert doctor()[0] == "bad"
        early = tmp_path / "0.tlog-proof"
        ok("log", "prove", "0", "--out", early)
        ok("log", "export", tmp_path / "evidence", "--bundle")
        before = {path: path.read_bytes() for path in [early, *(tmp_path / "evidence").rglob("*.tlog-proof")]}
        lacking = run("log", "refresh", early, tmp_path / "evidence", "--json")
        assert (lacking.code, {each["accepted"] for each in lacking.json["receipts"]}) == (6, {False})
        assert {path: path.read_bytes() for path in before} == before
        with serving_folder(warehouse, tmp_path / "server") as server:  # asks by itself
            shown = f"{server.url}/ledger/checkpoint"
            wait_until(lambda: accepted(policy, httpx.get(shown, trust_env=False).content))
            monkeypatch.setenv("INBOND_POLICY", str(policy))
            done = ok("--registry", server.url, "log", "refresh", early, "--json").json
            assert [each["accepted"] for each in done["receipts"]] == [True]
            assert "not yet witnessed" not in ok("--registry", server.url, "log", "head").err
            monkeypatch.delenv("INBOND_POLICY")
        assert doctor()[0] == "ok"
        done = ok("log", "refresh", tmp_path / "evidence", "--json").json
        assert all(each["accepted"] for each in done["receipts"])
        assert ok("verify", tmp_path / "evidence").out.endswith("proved\n")
    size = done["receipts"][-1]["size"]
    ok("party", "add", "Somebody")  # which nobody has seen
    assert doctor()[0] == "note"
    assert f"met at size {size} of {size + 1}" in doctor()[1]
    for words in ([], ["--public"]):
        out = tmp_path / f"out{len(words)}"
        ok("log", "export", out, *words)
        assert accepted(policy, (out / "checkpoint").read_bytes()) == size
        assert (out / "tile" / "entries").exists() == (not words)
        assert run("log", "audit", out, "--policy", policy).code == (6 if words else 0)
    assert run("log", "export", tmp_path / "out0", "--public").code == 2
    late = tmp_path / "late.tlog-proof"
    ok("log", "prove", str(size), "--out", late)
    unseen = late.read_bytes()
    assert run("log", "refresh", late).code == 6
    assert late.read_bytes() == unseen
    forged = receipts.parse(before[early])
    early.write_bytes(dataclasses.replace(forged, proof=(bytes(32),)).to_bytes())
    assert run("log", "refresh", early).code == 3
