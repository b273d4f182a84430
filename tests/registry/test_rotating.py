"""The keys of a registry's log and its admins: rotation, what survives an interruption, several admins."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inbond.ledger import notes
from inbond.ledger.cosigner import Cosigner, read_signer
from inbond.ledger.keys import ED25519, ML_DSA_44, SigningKey, VerifierKey
from inbond.ledger.logkeys import LogKeys, fingerprint_of
from inbond.ledger.policy import TrustPolicy
from inbond.registry.admins import Sheet, write_sheet
from inbond.registry.enrolling import enrolment
from inbond.registry.policies import policy_text, trusted, updated
from inbond.registry.registry import Registry
from inbond.registry.rotating import record_sheet, rotate
from inbond.schemas.errors import Conflict, InvalidInput, NotFound, NotPermitted, VerificationError
from inbond.schemas.scalars import Role

ORIGIN = "example.org/rotating"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "state"))
    Registry.init(tmp_path / "registry", ORIGIN).close()
    return tmp_path / "registry"


def signers(registry: Registry, size: int | None = None) -> set[VerifierKey]:
    with registry.reading() as reader:
        note, known = reader.checkpoint(size), registry.log.keyring_at(reader).log_keys
    return set(notes.open_note(note, known)[1])


def on_disk(folder: Path, name: str) -> VerifierKey:
    return read_signer(folder / "keys" / f"{name}.key").verifier


def is_whole(folder: Path) -> None:
    """The registry opens, writes and is proved, policy.txt and key files included."""
    with Registry.open(folder) as registry:
        registry.add_party("somebody")
        checked = registry.verify()
        assert (checked.verdict, checked.problems, checked.unchecked) == ("proved", [], [])
        assert sorted(path.name for path in (folder / "keys").glob("*-next.key")) == []
        assert TrustPolicy.parse(registry.policy_text).logs[0].vkey == on_disk(folder, "log")


def test_a_new_registry_signs_with_both(folder: Path) -> None:
    with Registry.open(folder) as registry:
        expected = {on_disk(folder, "log"), on_disk(folder, "log-ml-dsa-44")}
        assert signers(registry) == signers(registry, 1) == expected
        policy = TrustPolicy.parse(registry.policy_text)
    assert ([log.vkey.type for log in policy.logs], policy.witnesses, policy.quorum) == ([ED25519], (), "none")


def test_the_comment_in_policy_txt_is_a_policy_that_wants_both(folder: Path) -> None:
    text = (folder / "policy.txt").read_text()
    lines = [line.removeprefix("# ") for line in text.splitlines() if not line.startswith("# The log") and line != "quorum none"]
    policy = TrustPolicy.parse("\n".join(lines))
    assert (policy.quorum, policy.witnesses[0].vkey) == ("both", on_disk(folder, "log-ml-dsa-44"))
    with Registry.open(folder) as registry, registry.reading() as reader:
        assert policy.open_checkpoint(reader.note).size == reader.size
        parsed = notes.parse(reader.note)
    with pytest.raises(VerificationError, match="quorum 'both'"):
        policy.open_checkpoint(notes.Note(parsed.text, parsed.signatures[:1]).to_bytes())


def test_without_ml_dsa_a_registry_signs_with_ed25519(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "state"))
    with monkeypatch.context() as patch:
        for module in ("home", "keychain"):
            patch.setattr(f"inbond.registry.{module}.ml_dsa_available", lambda: False)
        with Registry.init(tmp_path / "registry", ORIGIN) as registry:
            assert signers(registry) == {on_disk(tmp_path / "registry", "log")}
            assert registry.policy_text.splitlines()[1:] == ["quorum none"]
    with Registry.open(tmp_path / "registry") as registry:
        registry.rotate_log_key("ml-dsa-44")
        assert {key.type for key in signers(registry)} == {ED25519, ML_DSA_44}
    is_whole(tmp_path / "registry")


@pytest.mark.parametrize("kind", ["ed25519", "ml-dsa-44"])
def test_a_rotation(folder: Path, kind: str) -> None:
    name = "log" if kind == "ed25519" else "log-ml-dsa-44"
    old = on_disk(folder, name)
    with Registry.open(folder) as registry:
        done = registry.rotate_log_key(kind)
        assert (done.key, done.before, done.policy) == (on_disk(folder, name), (old,), True)
        assert {old, done.key} < signers(registry) | {old, done.key} == signers(registry)
        registry.add_party("afterwards")
        assert done.key in signers(registry)
        assert old not in signers(registry)
        with pytest.raises(InvalidInput, match="expected a kind of log key"):
            registry.rotate_log_key("rsa")
    assert on_disk(folder, f"{name}-replaced-{old.key_id.hex()}") == old
    is_whole(folder)


def test_a_stolen_key_ends_with_its_rotation(folder: Path) -> None:
    old = on_disk(folder, "log")
    with Registry.open(folder) as registry:
        done = registry.rotate_log_key(reason="compromised", suspect_from=2)
        assert [each.seq for each in done.recorded] == [4, 5]
        assert old not in signers(registry)
        known = registry.log.keyring.log
        assert (known.until[old], known.suspect[old]) == (5, 2)
        assert [log.vkey for log in TrustPolicy.parse(registry.policy_text).logs] == [done.key]
    is_whole(folder)


@pytest.mark.parametrize(("name", "kind"), [("log", "ed25519"), ("log-ml-dsa-44", "ml-dsa-44")])
def test_a_lost_key_is_replaced(folder: Path, name: str, kind: str) -> None:
    (folder / "keys" / f"{name}.key").unlink()
    with Registry.open(folder) as registry:
        with pytest.raises(NotPermitted, match=r"expected the log key|without its log key") as caught:
            registry.add_party("nobody")
        assert f"inbond key rotate log --kind {kind} --revoke lost" in (caught.value.hint or "")
        with pytest.raises(NotPermitted, match=r"expected the log key|without its log key"):
            registry.rotate_log_key(kind)
        registry.rotate_log_key(kind, reason="lost")
    is_whole(folder)


def test_a_second_process_notices_and_goes_on_when_opened_again(folder: Path) -> None:
    with Registry.open(folder) as other:
        with Registry.open(folder) as registry:
            registry.rotate_log_key()
        with pytest.raises(NotPermitted, match="nothing can be signed") as caught:
            other.add_party("late")
        assert "restart the server" in (caught.value.hint or "")
        assert "keys" in (caught.value.hint or "")
    is_whole(folder)


# -- killed in between ------------------------------------------------------------------------------------------------------

CHILD = """
import os, signal, sys
from pathlib import Path
from inbond.registry import keychain, rotating
from inbond.registry.registry import Registry

def dying(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

where = sys.argv[2]
if where == "before the statement":
    rotating.record = dying
elif where == "before policy.txt":
    rotating.settle = dying
elif where == "before the files are renamed":
    keychain.Keychain.switch_log_key = dying
elif where == "between two renames":
    keychain.sync_folder = dying
    rename = Path.rename
    def half(self, target):
        if self.name == "log-next.key":
            dying()
        return rename(self, target)
    Path.rename = half
with Registry.open(sys.argv[1]) as registry:
    registry.rotate_log_key()
"""


@pytest.mark.parametrize(
    "where", ["before the statement", "before policy.txt", "before the files are renamed", "between two renames"]
)
def test_a_rotation_that_was_killed(folder: Path, where: str) -> None:
    old = on_disk(folder, "log")
    ended = subprocess.run([sys.executable, "-c", CHILD, str(folder), where], check=False, timeout=120, env=os.environ)
    assert ended.returncode == -signal.SIGKILL
    new = on_disk(folder, "log-next")
    with Registry.open(folder) as registry:  # it goes on as it stands
        named = new in registry.log.keyring.log.since
        assert named == (where != "before the statement")
        registry.add_party("meanwhile")
        assert (new if named else old) in signers(registry)
        assert (old if named else new) not in signers(registry)
        done = registry.rotate_log_key()  # which ends the one that was begun
        assert (done.key, len(done.recorded)) == (new, 0 if named else 1)
    assert on_disk(folder, "log") == new
    is_whole(folder)


# -- policy.txt -------------------------------------------------------------------------------------------------------------


def log_keys() -> tuple[LogKeys, VerifierKey, VerifierKey]:
    old, new = (SigningKey.from_seed(ORIGIN, letter * 32).verifier for letter in (b"o", b"n"))
    known = LogKeys()
    known.enrol(old, 0)
    known.enrol(new, 5)
    return known, old, new


def test_what_people_wrote_into_policy_txt_stays(folder: Path) -> None:
    known, old, new = log_keys()
    witness = VerifierKey("w.example", 4, SigningKey.from_seed("w.example", b"w" * 32).public.raw).format()
    mine = f"# ours\nlog {old.format()} https://example.org/log\n\nwitness w {witness}\nquorum w\n"
    expected = mine.replace(f"log {old.format()} h", f"log {new.format()} https://example.org/log\nlog {old.format()} h")
    assert updated(mine.encode(), known) == expected.encode()
    assert updated(expected.encode(), known) == expected.encode()
    known.revoke(fingerprint_of(old), 6)
    assert trusted(known) == [new]
    assert updated(expected.encode(), known).decode() == mine.replace(old.format(), new.format())
    with pytest.raises(InvalidInput):
        updated(b"no policy\n", known)


def test_policy_txt_as_it_was_made_is_made_anew() -> None:
    known, old, new = log_keys()
    first = policy_text(known.at(1))
    assert first.decode() == f"log {old.format()}\nquorum none\n"
    assert updated(first, known) == policy_text(known) == f"log {new.format()}\nlog {old.format()}\nquorum none\n".encode()


def test_a_policy_that_wants_ml_dsa_gets_the_new_key() -> None:
    known, old, _ = log_keys()
    first, second = (Cosigner(ORIGIN, ML_DSA_44, letter * 32).verifier for letter in (b"q", b"r"))
    known.enrol(first, 2)
    mine = f"log {old.format()}\nwitness pq {first.format()}\ngroup both all pq\nquorum both\n"
    known.enrol(second, 6)
    assert TrustPolicy.parse(updated(mine.encode(), known)).witnesses[0].vkey == second


# -- several admins ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[SigningKey]]:
    """A registry that wants two of three admins, of whom one is here."""
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "state"))
    home = tmp_path / "registry"
    Registry.init(home, ORIGIN, admins=3, threshold=2).close()
    others = []
    for name in ("admin-2", "admin-3"):
        key = read_signer(home / "keys" / f"{name}.key")
        assert isinstance(key, SigningKey)
        others.append(key)
        (home / "keys" / f"{name}.key").unlink()
    return home, others


def test_one_admin_of_two_records_nothing(apart: tuple[Path, list[SigningKey]]) -> None:
    home, _ = apart
    with Registry.open(home) as registry:
        for do in (lambda: registry.add_key("auditor"), registry.rotate_log_key):
            with pytest.raises(NotPermitted, match="expected signatures of 2 admin keys, found 1") as caught:
                do()
            assert "--out FILE" in (caught.value.hint or "")
        with registry.reading() as reader:
            assert reader.size == 4


def test_a_sheet_goes_from_admin_to_admin(apart: tuple[Path, list[SigningKey]], tmp_path: Path) -> None:
    home, (second, third) = apart
    path = tmp_path / "auditor.sheet"
    with Registry.open(home) as registry:
        write_sheet(registry, [enrolment(registry, Role.AUDITOR, None, None)], path)
        with pytest.raises(Conflict):
            write_sheet(registry, [enrolment(registry, Role.AUDITOR, None, None)], path)
        with pytest.raises(NotPermitted, match="expected signatures of 2 admin keys, found 1"):
            record_sheet(registry, path)
        Sheet.read(path).signed([second]).write(path, new=False)
        assert Sheet.read(path).signed([second]) == Sheet.read(path)
        [recorded] = record_sheet(registry, path)
        assert (recorded.seq, recorded.duplicate) == (4, False)
        Sheet.read(path).signed([third]).write(path, new=False)
        [again] = record_sheet(registry, path)
        assert (again.seq, again.duplicate) == (4, True)
    is_whole(home)


def test_a_rotation_by_sheet(apart: tuple[Path, list[SigningKey]], tmp_path: Path) -> None:
    home, (second, _) = apart
    path, old = tmp_path / "log.sheet", on_disk(home, "log")
    with Registry.open(home) as registry:
        waiting = rotate(registry, out=path)
        assert (waiting.recorded, waiting.policy) == ((), False)
        registry.add_party("meanwhile")
        assert old in signers(registry)
    Sheet.read(path).signed([second]).write(path, new=False)
    with Registry.open(home) as registry:
        record_sheet(registry, path)
        assert {old, waiting.key} <= signers(registry)
    assert on_disk(home, "log") == waiting.key
    is_whole(home)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (None, NotFound),
        (b"", InvalidInput),
        (b"{}\n", InvalidInput),
        (b"\n", InvalidInput),
        (b"x" * (1 << 20) + b"\n", InvalidInput),
    ],
)
def test_what_is_no_sheet(tmp_path: Path, data: bytes | None, kind: type[Exception]) -> None:
    if data is not None:
        (tmp_path / "sheet").write_bytes(data)
    with pytest.raises(kind):
        Sheet.read(tmp_path / "sheet")


def test_an_admin_ends_while_enough_are_left(apart: tuple[Path, list[SigningKey]]) -> None:
    home, (second, third) = apart
    for name, key in (("admin-2", second), ("admin-3", third)):
        (home / "keys" / f"{name}.key").write_text(key.to_text() + "\n")
        (home / "keys" / f"{name}.key").chmod(0o600)
    with Registry.open(home) as registry:
        registry.revoke_key(third.public.fingerprint, "retired")
        with pytest.raises(InvalidInput, match=r"expected 2 other admins.*found 1"):
            registry.revoke_key(second.public.fingerprint, "retired")
        registry.add_key("admin", public_name="admin-4")
        registry.revoke_key(second.public.fingerprint, "retired")
        registry.add_key("auditor")  # signed by the first and the fourth
    is_whole(home)


@pytest.mark.parametrize(("admins", "threshold"), [(1, 2), (0, 0), (3, 0), (16, 2)])
def test_a_threshold_that_nobody_can_meet(tmp_path: Path, admins: int, threshold: int) -> None:
    with pytest.raises(InvalidInput, match="admins and a threshold of 1 to their number"):
        Registry.init(tmp_path / "registry", ORIGIN, admins=admins, threshold=threshold)
    assert not (tmp_path / "registry").exists()
