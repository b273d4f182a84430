"""inbond-verify against bundles that inbond itself makes: it accepts them, and names whatever was altered."""

import json
import random
import shutil
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.ledger import checkpoints, dsse, merkle, notes, tiles, verify
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.encoding import from_base64
from inbond.ledger.entries import entry_bytes, parse_entry
from inbond.ledger.export import export
from inbond.ledger.keys import COSIGNATURE_V1, ML_DSA_44, SigningKey, VerifierKey
from inbond.ledger.log import Log
from inbond.ledger.notes import NoteSignature
from inbond.ledger.policy import Group, TrustedLog, TrustPolicy, Witness
from inbond.ledger.receipts import Receipt
from inbond.registry.shards import proofs
from inbond.registry.shards.reader import ShardReader
from inbond.registry.shards.records import Message, Record
from inbond.registry.shards.writer import write_shard
from inbond.registry.signers import SignerRules
from inbond.registry.stores.folder import FolderStore
from inbond.schemas import canonical, statement
from inbond.schemas import statements as s
from inbond.schemas.declared import unknown
from inbond.schemas.entry import Entry, Envelope
from inbond.schemas.errors import InbondError, InvalidInput
from inbond.schemas.kinds import KINDS
from inbond.schemas.scalars import EMPTY_LIST
from tests.schemas.examples import BODIES

ORIGIN = "example.org/story"
SEEDS = random.Random(6)
LOG_KEY, ADMIN, ADMIN_2, REGISTRY, PRODUCER, TRAINER, RUN, WITNESS = (
    SigningKey.from_seed(name, SEEDS.randbytes(32))
    for name in (ORIGIN, "admin", "admin-2", "registry", "producer", "trainer", "run", "witness.example")
)
WITNESS_KEY = VerifierKey(WITNESS.name, COSIGNATURE_V1, WITNESS.public.raw)
OPERATOR = "party:" + "0" * 32
POLICY = TrustPolicy(logs=(TrustedLog(LOG_KEY.verifier),))


@dataclass
class Story:
    """A log in which a shard was made, drawn into a dataset, and read by a run; and what a bundle of it holds."""

    folder: Path
    log: Log
    store: FolderStore
    genesis: str
    seq: dict[str, int]
    shard: str
    parts: str
    record: bytes

    def receipt(self, name: str, **options: Any) -> bytes:
        return self.log.receipt(self.seq[name], **options).to_bytes()

    def export(self, folder: Path) -> Path:
        with self.log.reading() as reader:
            export(reader, folder)
        return folder

    def bundle(self, folder: Path, *, log: bool = False, leave_out: tuple[str, ...] = ()) -> Path:
        for name in ("receipts", "shards", "objects", "records"):
            (folder / name).mkdir(parents=True)
        for name, seq in self.seq.items():
            if name not in leave_out:
                (folder / "receipts" / f"{seq}.tlog-proof").write_bytes(self.receipt(name))
        shutil.copy(self.store.path(self.shard), folder / "shards" / f"{self.shard}.parquet")
        shutil.copy(self.store.path(self.parts), folder / "objects" / self.parts)
        (folder / "records" / "row-17.json").write_bytes(self.record)
        if log:
            self.export(folder / "log")
        return folder


class Author:
    """Signs statements for one log."""

    def __init__(self, log: Log) -> None:
        self.log, self.count = log, 0

    def header(self, kind: str, **changes: Any) -> s.Header:
        self.count += 1
        with self.log.reading() as reader:
            seen = s.Seen(size=reader.size, root="sha256:" + reader.root.hex())
        return msgspec.structs.replace(header(f"{self.count:032x}", seen), **changes)

    def say(self, kind: str, body: Any, *keys: SigningKey, **changes: Any) -> tuple[int, str]:
        made = self.header(kind, **changes)
        return self.log.append_one(dsse.sign(statement.make(kind, body, made), keys)).seq, f"{kind}:{made.id}"

    def enrol(self, key: SigningKey, *roles: str, keys: tuple[SigningKey, ...] = (ADMIN,), **fields: Any) -> int:
        return self.say("key", key_body(key, *roles, **fields), *keys, key)[0]


def header(id: str, seen: s.Seen | None) -> s.Header:
    return s.Header(
        registry=ORIGIN, id=id, seen=seen, occurred=unknown(), basis=s.Basis.DECLARED,
        asserted_by=s.AssertedBy(party=OPERATOR), evidence=(), visibility=s.Visibility.PUBLIC,
    )  # fmt: skip


def key_body(key: SigningKey, *roles: str, **fields: Any) -> s.Key:
    return s.Key(
        public_key=key.public.base64,
        fingerprint=key.public.fingerprint,
        party=OPERATOR,
        roles=roles,
        custody=s.Custody.FILE,
        **fields,
    )


def party(name: str) -> s.Party:
    return s.Party(legal_name=unknown(), aliases=(name,), domicile=unknown())


def genesis_envelope(admins: tuple[SigningKey, ...] = (ADMIN,), threshold: int = 1) -> Envelope:
    body = s.Genesis(
        origin=ORIGIN, admins=tuple(key.public.base64 for key in admins), threshold=threshold,
        log_keys=(LOG_KEY.verifier.format(),), registry_key=REGISTRY.public.base64,
        operator=s.FirstParty(name="story", legal_name=unknown()),
    )  # fmt: skip
    return dsse.sign(statement.make("genesis", body, header("0" * 32, None)), admins)


def tell(folder: Path) -> Story:
    folder.mkdir(parents=True)
    log = Log.create(folder, genesis_envelope(), LOG_KEY, SignerRules())
    author, store, seq = Author(log), FolderStore(folder / "objects"), {"genesis": 0}
    seq["producer"] = author.enrol(PRODUCER, "producer", "compliance")
    seq["trainer"] = author.enrol(TRAINER, "trainer")
    noise = random.Random(1)
    records = [
        Record((Message("user", f"question {i} é"),), (0,) if i % 2 else (), noise.randbytes(500).hex(), refs=("a",) * (i % 3),
               label=None if i % 3 else "good", input_ids=(1, 2**32 - 1), created_at=-5, prompt_tokens=3, subject_refs=())
        for i in range(298)
    ]  # fmt: skip
    records += [Record(None, (), ""), Record((), (), "\x00\u2028", "think", '{"n":1e400}', kind="judgement", sampling="t=1")]
    written = write_shard(store, records, salts=noise.randbytes)
    measured = {name: getattr(written, name) for name in ("size", "block_root", "record_root", "rows")} | {"file": written.digest}
    sparse = dict.fromkeys(("codec", "text_shard", "signal", "derivation"), msgspec.UNSET)
    shard = msgspec.structs.replace(BODIES["shard"], kind=s.ShardKind.TEXT, **measured, **sparse)
    seq["shard"], shard_ref = author.say("shard", shard, PRODUCER)
    parts = store.put_lines([{"shard": shard_ref, "rows": [[0, 300]], "split": "train", "count": 300}])
    seq["dataset"], _ = author.say("dataset", msgspec.structs.replace(BODIES["dataset"], parts=parts), PRODUCER)
    opened = msgspec.structs.replace(BODIES["run.open"], run_key=RUN.public.base64)
    seq["run"], run = author.say("run", opened, TRAINER, RUN)
    asked = s.GrantRequest(registry=ORIGIN, id="f" * 32, run=run, columns=("response",), mode=s.GrantMode.STREAM, parts=parts)
    request = dsse.sign(canonical.encode(asked), [RUN], s.REQUEST_TYPE)
    grant = msgspec.structs.replace(
        BODIES["grant"],
        request=request,
        run=run,
        columns=("response",),
        mode=s.GrantMode.STREAM,
        parts=parts,
        obligations=EMPTY_LIST,
    )
    seq["grant"], grant_ref = author.say("grant", grant, REGISTRY)
    consume = msgspec.structs.replace(BODIES["consume"], run=run, grant=grant_ref)
    seq["consume"], _ = author.say("consume", consume, RUN)
    seq["close"], _ = author.say("run", msgspec.structs.replace(BODIES["run.close"], run=run), TRAINER)
    seq["party"], _ = author.say("party", party("somebody"), PRODUCER)
    seq["revoked"], _ = author.say(
        "key", key_body(TRAINER, "trainer", revocation=s.Revocation(reason=s.RevocationReason.RETIRED)), ADMIN
    )
    with ShardReader(store, name="shard", digest=written.digest, **{k: v for k, v in measured.items() if k != "file"}) as reader:
        record = proofs.prove(reader, 17)
    return Story(folder, log, store, log.genesis_leaf.hex(), seq, written.digest[7:], parts.digest[7:], record)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("story")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        yield tell(folder / "registry")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "state"))
    return tmp_path


@dataclass
class Outcome:
    code: int
    lines: list[tuple[str, str, str]]
    counts: dict[str, int]

    def of(self, status: str) -> list[str]:
        return [f"{what}: {text}" for found, what, text in self.lines if found == status]


def check(policy: str, genesis: str, *paths: Path, files: tuple[Path, ...] = ()) -> Outcome:
    """Run the command line on `paths`; the policy is written beside the first."""
    file = paths[0].parent / "policy.txt"
    file.write_text(policy)
    printed = StringIO()
    arguments = ["--json", "--policy", str(file), "--genesis", genesis, *(f"--file={path}" for path in files), *map(str, paths)]
    with redirect_stdout(printed):
        code = verify.main(arguments)
    said = json.loads(printed.getvalue())
    return Outcome(code, [(line["status"], line["what"], line["text"]) for line in said["checks"]], said["counts"])


def ask(story: Story, *paths: Path, files: tuple[Path, ...] = ()) -> Outcome:
    return check(POLICY.format(), story.genesis, *paths, files=files)


def flip(file: Path, at: int, bit: int = 1) -> None:
    """Flip a bit in place: some file systems sync a file that is truncated and written anew."""
    with file.open("r+b", buffering=0) as stream:
        stream.seek(at, 2 if at < 0 else 0)
        [byte] = stream.read(1)
        stream.seek(at, 2 if at < 0 else 0)
        stream.write(bytes([byte ^ bit]))


# What is in order ------------------------------------------------------------------------------------------------------


def test_a_bundle_is_proved(story: Story, tmp_path: Path) -> None:
    found = ask(story, story.bundle(tmp_path / "bundle"))
    assert (found.code, found.of("missing"), found.of("FAILED")) == (0, [], [])
    assert found.counts["proved"] == len(story.seq) + 3
    assert any("body.parts of dataset:" in line and "body.parts of grant:" in line for line in found.of("proved"))
    assert any("row 17 of shard:" in line for line in found.of("proved"))


def test_a_bundle_with_the_full_log_needs_no_receipts(story: Story, tmp_path: Path) -> None:
    bundle = story.bundle(tmp_path / "bundle", log=True)
    assert ask(story, bundle).code == 0
    shutil.rmtree(bundle / "receipts")
    found = ask(story, bundle)
    assert (found.code, found.counts["proved"]) == (0, 4)
    assert found.of("noted") == []


def test_an_exported_log_is_replayed_whole(story: Story, tmp_path: Path) -> None:
    found = ask(story, story.export(tmp_path / "out"))
    assert (found.code, len(found.lines)) == (0, 1)
    assert f"all {len(story.seq)} entries of {ORIGIN}" in found.lines[0][2]


def test_entries_that_are_left_out_are_noted(story: Story, tmp_path: Path) -> None:
    found = ask(story, story.bundle(tmp_path / "bundle", leave_out=("party",)))
    assert found.code == 0
    assert "10 of 11 entries; that no other revokes a key" in found.of("noted")[0]


def test_files_beside_a_bundle_are_matched(story: Story, tmp_path: Path) -> None:
    receipts = story.bundle(tmp_path / "bundle") / "receipts"
    lone = [shutil.copy(file, tmp_path) for file in sorted(receipts.iterdir())]
    files = (story.store.path(story.shard), story.store.path(story.parts))
    found = ask(story, *map(Path, lone), files=files)
    assert (found.code, found.of("missing")) == (0, [])
    other = tmp_path / "other"
    other.write_bytes(b"nobody speaks of this")
    found = ask(story, tmp_path / "bundle", files=(other,))
    assert (found.code, len(found.of("missing"))) == (6, 1)


def test_it_runs_alone(story: Story, tmp_path: Path) -> None:
    bundle = story.bundle(tmp_path / "bundle", log=True)
    (tmp_path / "policy").write_text(POLICY.format())
    (tmp_path / "alone").mkdir()
    shutil.copy(verify.__file__, tmp_path / "alone" / "verify.py")
    command = [sys.executable, "-I", "verify.py", "--policy", "../policy", "--genesis", story.genesis, "../bundle"]
    done = subprocess.run(command, cwd=tmp_path / "alone", capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.splitlines()[-1].decode() == "ok · 15 proved · 0 missing · 0 FAILED · 0 noted"
    flip(bundle / "shards" / f"{story.shard}.parquet", 70_000)
    done = subprocess.run(command, cwd=tmp_path / "alone", capture_output=True, check=False, env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 3
    assert b"FAILED  ../bundle/shards/" in done.stdout
    assert b"expected bytes with the SHA-256" in done.stdout


def test_it_imports_nothing_of_inbond() -> None:
    imports = [line for line in Path(verify.__file__).read_text().splitlines() if line.startswith(("import ", "from "))]
    roots = {line.split()[1].split(".")[0] for line in imports}
    assert roots - {"cryptography"} <= sys.stdlib_module_names


def test_the_tables_are_those_of_the_schemas() -> None:
    roles, subjects = {}, set()
    for kind in KINDS.values():
        names = {body: body.__struct_config__.tag for body in kind.bodies}
        for body, phase in names.items():
            roles[f"{kind.name}.{phase}" if phase else kind.name] = frozenset(map(str, kind.narrower.get(body, kind.roles)))
        if kind.subject is not None:
            subjects.add(kind.name)
    assert roles == verify.ROLES
    assert subjects == verify.SUBJECTS.keys()
    for key, body in BODIES.items():
        found = msgspec.to_builtins(body)
        if KINDS[key.partition(".")[0]].subject is not None:
            for name in verify.SUBJECTS[key].split("."):
                found = found[name]
            assert found == KINDS[key].subject(body)  # type: ignore[misc]


def test_usage(story: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = tmp_path / "policy"
    policy.write_text(POLICY.format())
    bad = tmp_path / "bad"
    bad.write_text("quorum none\nlog nonsense\n")
    for arguments, message in [
        (["--policy", str(policy), "--genesis", "abc", str(tmp_path)], "--genesis with 64 lower-case hex digits"),
        (["--policy", str(bad), "--genesis", story.genesis, str(tmp_path)], "expected a verifier key"),
        (["--policy", str(tmp_path / "none"), "--genesis", story.genesis, str(tmp_path)], "No such file"),
        (["--policy", str(policy), "--genesis", story.genesis, str(tmp_path / "none")], "a file or folder that exists"),
        (["--policy", str(policy), str(tmp_path)], "--genesis"),
    ]:
        with pytest.raises(SystemExit) as stopped:
            verify.main(arguments)
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err


def test_failures_that_ran_off_the_screen_are_said_again(capsys: pytest.CaptureFixture[str]) -> None:
    for count, failed, repeated in ((100, 7, 5), (100, 1, 1), (9, 7, 0)):
        for quiet in (False, True):
            report = verify.Report(quiet=quiet)
            for at in range(count):
                report.add("FAILED" if at < failed else "proved", f"file {at}", "text")
            report.finish()
            out = capsys.readouterr().out
            if quiet:
                assert len(json.loads(out)["checks"]) == count
                continue
            lines = out.splitlines()
            assert lines[-1] == f"FAILED · {count - failed} proved · 0 missing · {failed} FAILED · 0 noted"
            if repeated:
                assert lines[-1 - repeated : -1] == lines[:repeated]
            assert len(lines) == count + repeated + (2 if repeated else 1)


def test_nothing_to_check_is_inconclusive(story: Story, tmp_path: Path) -> None:
    (tmp_path / "bundle" / "receipts").mkdir(parents=True)
    assert ask(story, tmp_path / "bundle").code == 6


# What was altered, or is lacking ---------------------------------------------------------------------------------------


def test_every_byte_of_a_receipt_matters(story: Story, tmp_path: Path) -> None:
    bundle = story.bundle(tmp_path / "bundle")
    file = bundle / "receipts" / f"{story.seq['party']}.tlog-proof"
    accept, report = cache(verify.Policy(POLICY.format().encode()).open), verify.Report(quiet=True)
    for at in range(file.stat().st_size):
        flip(file, at, 1 << at % 8)
        assert report.attempt(str(file), lambda: verify.open_receipt(str(file), accept)) is None, at
        flip(file, at, 1 << at % 8)
    assert {status for status, _, _ in report.lines} == {"FAILED"}
    assert all("expected" in text and "found" in text for _, _, text in report.lines)
    assert ask(story, bundle).code == 0


@pytest.mark.parametrize("at", [0, 4, 65_535, 65_536, 100_000, -1])
def test_a_flipped_byte_of_a_shard_is_named(story: Story, tmp_path: Path, at: int) -> None:
    bundle = story.bundle(tmp_path / "bundle")
    flip(bundle / "shards" / f"{story.shard}.parquet", at)
    found = ask(story, bundle)
    assert found.code == 3
    [line] = found.of("FAILED")
    assert f"expected bytes with the SHA-256 {story.shard}, found " in line


def test_a_renamed_shard_is_nobodys(story: Story, tmp_path: Path) -> None:
    bundle = story.bundle(tmp_path / "bundle")
    file = bundle / "shards" / f"{story.shard}.parquet"
    flip(file, 9)
    file.rename(file.with_name(f"{sha256(file.read_bytes()).hexdigest()}.parquet"))
    found = ask(story, bundle)
    assert found.code == 6
    assert any("no proved statement names a shard" in line for line in found.of("missing"))
    assert any("its object file" in line for line in found.of("missing"))


def test_swapped_receipts_are_named(story: Story, tmp_path: Path) -> None:
    bundle = story.bundle(tmp_path / "bundle")
    first, second = (bundle / "receipts" / f"{story.seq[name]}.tlog-proof" for name in ("shard", "dataset"))
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)
    found = ask(story, bundle)
    assert (found.code, len(found.of("FAILED"))) == (3, 2)
    assert f"found that of entry {story.seq['dataset']}" in found.of("FAILED")[0]


def test_another_genesis_is_refused(story: Story, tmp_path: Path) -> None:
    bundle = story.bundle(tmp_path / "bundle")
    found = check(POLICY.format(), "0" * 64, bundle)
    assert found.code == 3
    assert f"expected genesis with the leaf hash {'0' * 64}, found {story.genesis}" in found.of("FAILED")[0]
    assert found.of("proved") == []
    assert check(POLICY.format(), "0" * 64, story.export(tmp_path / "out")).code == 3


def test_another_log_key_is_refused(story: Story, tmp_path: Path) -> None:
    other = SigningKey.from_seed(ORIGIN, bytes(32))
    policy = TrustPolicy(logs=(TrustedLog(other.verifier),))
    for path in (story.bundle(tmp_path / "bundle"), story.export(tmp_path / "out")):
        found = check(policy.format(), story.genesis, path)
        assert (found.code, found.of("proved")) == (3, [])
        assert "expected a checkpoint that a log of the policy signed" in found.of("FAILED")[0]


@pytest.mark.parametrize("name", ["producer", "run", "genesis"])
def test_a_lacking_receipt_leaves_what_rests_on_it_open(story: Story, tmp_path: Path, name: str) -> None:
    found = ask(story, story.bundle(tmp_path / "bundle", leave_out=(name,)))
    assert (found.code, found.of("FAILED")) == (6, [])
    rests = {"producer": ("shard", "dataset", "party"), "run": ("grant", "consume"), "genesis": story.seq.keys() - {"genesis"}}[
        name
    ]
    for other in rests:
        assert any(f"/{story.seq[other]}.tlog-proof: " in line for line in found.of("missing"))


def test_a_receipt_without_its_entry_is_open(story: Story, tmp_path: Path) -> None:
    bundle = story.bundle(tmp_path / "bundle")
    (bundle / "receipts" / f"{story.seq['party']}.tlog-proof").write_bytes(story.receipt("party", with_entry=False))
    found = ask(story, bundle)
    assert (found.code, len(found.of("missing"))) == (6, 1)
    assert ask(story, bundle, story.export(tmp_path / "log")).code == 0


def test_a_receipt_without_its_entry_must_still_lead_to_the_root(story: Story, tmp_path: Path) -> None:
    log = story.export(tmp_path / "log")
    receipt = story.log.receipt(story.seq["party"], with_entry=False)
    for index, path in (
        (receipt.index, (bytes(32), *receipt.proof[1:])),
        (receipt.index - 1, receipt.proof),
        (len(story.seq), receipt.proof),
        (2**62, receipt.proof),
    ):
        (tmp_path / "lone.tlog-proof").write_bytes(Receipt(index, path, receipt.checkpoint).to_bytes())
        assert ask(story, log, tmp_path / "lone.tlog-proof").code == 3


def test_lacking_content_is_open(story: Story, tmp_path: Path) -> None:
    bundle = story.bundle(tmp_path / "bundle")
    (bundle / "shards" / f"{story.shard}.parquet").unlink()
    found = ask(story, bundle)
    assert found.code == 6
    assert [line.partition(":")[0] for line in found.of("missing")] == ["shard", "dataset"]
    (bundle / "objects" / story.parts).unlink()
    assert len(ask(story, bundle).of("missing")) == 2
    assert ask(story, story.bundle(tmp_path / "again", leave_out=("shard",))).code == 6


def test_an_altered_object_or_record_is_named(story: Story, tmp_path: Path) -> None:
    bundle = story.bundle(tmp_path / "bundle")
    flip(bundle / "objects" / story.parts, 3)
    flip(bundle / "records" / "row-17.json", story.record.index(b"response") + 20)
    found = ask(story, bundle)
    assert found.code == 3
    assert [line.split(": expected")[0].rsplit("/", 1)[1] for line in found.of("FAILED")] == [story.parts, "row-17.json"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("row", 18), ("rows", 299), ("salt", "0" * 32), ("proof", []), ("v", 2), ("shard", "sha256:" + "0" * 64), ("row", True)],
)
def test_an_altered_record_proof_is_refused(story: Story, tmp_path: Path, field: str, value: Any) -> None:
    bundle = story.bundle(tmp_path / "bundle")
    altered = canonical.encode(json.loads(story.record) | {field: value})
    (bundle / "records" / "row-17.json").write_bytes(altered)
    assert ask(story, bundle).code == (6 if field == "shard" else 3)


def test_records_frame_text_and_lists_apart(story: Story, tmp_path: Path) -> None:
    """A list of one null frames as the text NUL does: the types of the columns keep them apart."""
    with ShardReader(story.store, **_shard_facts(story)) as reader:
        for row in (298, 299):
            (tmp_path / f"{row}.json").write_bytes(proofs.prove(reader, row))
    bundle = story.bundle(tmp_path / "bundle")
    for row in (298, 299):
        shutil.copy(tmp_path / f"{row}.json", bundle / "records")
    assert ask(story, bundle).code == 0
    altered = json.loads((tmp_path / "299.json").read_bytes())
    altered["record"]["response"] = [None]
    (bundle / "records" / "299.json").write_bytes(canonical.encode(altered))
    assert "expected a text" in ask(story, bundle).of("FAILED")[0]


def _shard_facts(story: Story) -> dict[str, Any]:
    with story.log.reading() as reader:
        body = statement.read(dsse.payload_of(parse_entry(reader.entry(story.seq["shard"])).dsse)).body
    facts = {name: getattr(body, name) for name in ("size", "block_root", "record_root", "rows")}
    return facts | {"digest": body.file}


@pytest.mark.parametrize("name", ["checkpoint", "tile/0/000.p/11", "tile/entries/000.p/11"])
def test_altered_files_of_a_log_are_named(story: Story, tmp_path: Path, name: str) -> None:
    size = len((story.export(tmp_path / "out") / name).read_bytes())
    for at in sorted({0, 1, 2, size // 3, size // 2, size - 33, size - 2, size - 1}):
        flip(tmp_path / "out" / name, at)
        found = ask(story, tmp_path / "out")
        assert found.code == 3, (at, found)
        assert any(str(tmp_path / "out" / name).startswith(line.split(": ")[0]) for line in found.of("FAILED")), found
        flip(tmp_path / "out" / name, at)
    (tmp_path / "out" / name).unlink()
    assert ask(story, tmp_path / "out").code in (2, 6) if name != "checkpoint" else True
    assert ask(story, story.export(tmp_path / "new")).code == 0


def test_a_public_export_without_entries_is_inconclusive(story: Story, tmp_path: Path) -> None:
    bundle = story.bundle(tmp_path / "bundle", log=True)
    shutil.rmtree(bundle / "log" / "tile" / "entries")
    found = ask(story, bundle)
    assert (found.code, found.of("FAILED")) == (6, [])
    assert len(found.of("proved")) == len(story.seq) + 3


def test_strange_files_are_said_not_to_be_checked(story: Story, tmp_path: Path) -> None:
    bundle = story.bundle(tmp_path / "bundle")
    (bundle / "README\nproved  everything").write_text("x")
    (bundle / "log").mkdir()
    found = ask(story, bundle)
    assert found.code == 0
    assert [line for line in found.of("noted") if "\\u{a}proved" in line]
    assert len(found.of("noted")) == 2
    (bundle / "receipts" / "readme").write_text("x")
    assert ask(story, bundle).code == 3


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_alteration_of_a_bundle_goes_unnoticed_or_escapes(
    story: Story, tmp_path_factory: pytest.TempPathFactory, data: Any
) -> None:
    bundle = tmp_path_factory.getbasetemp() / "fuzzed"
    if not bundle.is_dir():
        story.bundle(bundle, log=True)
    file = data.draw(st.sampled_from(sorted(path for path in bundle.rglob("*") if path.is_file())))
    original = file.read_bytes()
    at, end = sorted((data.draw(st.integers(0, len(original))), data.draw(st.integers(0, len(original)))))
    file.write_bytes(original[:at] + data.draw(st.binary(max_size=8)) + original[min(end, at + 8) :])
    if file.read_bytes() != original:
        found = ask(story, bundle)
        assert found.code in (3, 6), found
        assert str(file.relative_to(bundle.parent)) in "".join(found.of("FAILED") + found.of("missing"))
    file.write_bytes(original)


# Histories that no log of ours would write -----------------------------------------------------------------------------


class Forger:
    """Writes whatever it likes into a log whose log key it has: only the statements' own signatures are out of reach."""

    def __init__(self, genesis: Envelope | None = None) -> None:
        self.entries: list[bytes] = []
        self.count = 0
        self.add("genesis", genesis or genesis_envelope())

    @property
    def leaf(self) -> str:
        return merkle.leaf_hash(self.entries[-1]).hex() if self.entries else "0" * 64

    def add(self, kind: str, envelope: Envelope, /, **fields: Any) -> int:
        entry = Entry(envelope, kind, self.leaf, len(self.entries), "2026-11-21T00:00:00.000Z", 1)
        self.entries.append(entry_bytes(msgspec.structs.replace(entry, **fields)))
        return len(self.entries) - 1

    def say(self, kind: str, body: Any, *keys: SigningKey, fields: dict[str, Any] | None = None, **changes: Any) -> int:
        self.count += 1
        seen = s.Seen(size=1, root="sha256:" + merkle.leaf_hash(self.entries[0]).hex())
        made = msgspec.structs.replace(header(f"{self.count:032x}", seen), **changes)
        return self.add(kind, dsse.sign(statement.make(kind, body, made), keys), **(fields or {}))

    def say_raw(self, kind: str, body: dict[str, Any], *keys: SigningKey) -> int:
        """A statement with a body that its kind does not have."""
        made = header("a" * 32, s.Seen(size=1, root="sha256:" + merkle.leaf_hash(self.entries[0]).hex()))
        predicate = {"body": body, "header": json.loads(canonical.encode(made))}
        subject = [{"digest": {"sha256": sha256(canonical.encode(predicate)).hexdigest()}, "name": kind}]
        wire = {"_type": statement.STATEMENT_TYPE, "predicate": predicate, "predicateType": f"urn:inbond:{kind}:v1"}
        envelope = dsse.sign(canonical.encode(wire | {"subject": subject}), keys)
        entry = Entry(envelope, kind, self.leaf, len(self.entries), "2026-11-21T00:00:00.000Z", 1)
        self.entries.append(canonical.encode(entry))
        return len(self.entries) - 1

    def note(self, size: int | None = None) -> bytes:
        leaves = [merkle.leaf_hash(entry) for entry in self.entries[:size]]
        return checkpoints.sign(Checkpoint(ORIGIN, len(leaves), merkle.root_of(leaves)), [LOG_KEY])

    def receipt(self, seq: int, size: int | None = None) -> bytes:
        leaves = [merkle.leaf_hash(entry) for entry in self.entries[:size]]
        range_ = list(
            merkle.inclusion_proof(seq, len(leaves), lambda level, i: merkle.root_of(leaves[i << level : (i + 1) << level]))
        )
        return Receipt(seq, tuple(range_), self.note(size), self.entries[seq]).to_bytes()

    def check(self, folder: Path, *, policy: str = POLICY.format()) -> tuple[Outcome, Outcome]:
        """What is found in a bundle of all receipts, and in a full export."""
        genesis = merkle.leaf_hash(self.entries[0]).hex()
        for seq in range(len(self.entries)):
            write(folder / "receipts" / f"{seq}.tlog-proof", self.receipt(seq))
        return check(policy, genesis, folder), check(policy, genesis, self.export(folder.with_name(folder.name + "-log")))

    def export(self, folder: Path) -> Path:
        leaves = [merkle.leaf_hash(entry) for entry in self.entries]
        size = len(leaves)
        made: dict[tuple[int, int], bytes] = {}
        for level, n, data in tiles.updated_tiles(0, lambda level, n: b"", leaves):
            made[level, n] = data
        for name in tiles.tiles_of(size):
            write(folder / name.path, made[name.level or 0, name.n][: 32 * name.width])
        for name in tiles.bundles_of(size):
            write(folder / name.path, tiles.encode_bundle(self.entries[256 * name.n : 256 * name.n + name.width]))
        write(folder / "checkpoint", self.note())
        return folder


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _enrolled(roles: tuple[str, ...] = ("producer", "compliance"), **fields: Any) -> Forger:
    forger = Forger()
    forger.say("key", key_body(PRODUCER, *roles, **fields), ADMIN, PRODUCER)
    return forger


def _by_nobody(forger: Forger) -> None:
    forger.say("party", party("p"), TRAINER)


def _without_role(forger: Forger) -> None:
    forger.say("student", BODIES["student"], PRODUCER)


def _by_registry(forger: Forger) -> None:
    forger.say("party", party("p"), REGISTRY)


def _after_revocation(forger: Forger) -> None:
    forger.say("key", key_body(PRODUCER, "producer", revocation=s.Revocation(reason=s.RevocationReason.LOST)), ADMIN)
    forger.say("party", party("p"), PRODUCER)


def _enrolled_again(forger: Forger) -> None:
    forger.say("key", key_body(PRODUCER, "producer", revocation=s.Revocation(reason=s.RevocationReason.LOST)), ADMIN)
    forger.say("key", key_body(PRODUCER, "compliance"), ADMIN, PRODUCER)


def _enrolled_by_a_producer(forger: Forger) -> None:
    forger.say("key", key_body(TRAINER, "trainer"), PRODUCER, TRAINER)


def _enrolled_without_itself(forger: Forger) -> None:
    forger.say("key", key_body(TRAINER, "trainer"), ADMIN)


def _wrong_fingerprint(forger: Forger) -> None:
    forger.say("key", msgspec.structs.replace(key_body(TRAINER, "trainer"), fingerprint="0" * 64), ADMIN, TRAINER)


def _broken_chain(forger: Forger) -> None:
    forger.say("party", party("p"), PRODUCER, fields={"prev": "1" * 64})


def _back_in_time(forger: Forger) -> None:
    forger.say("party", party("p"), PRODUCER, fields={"time": "2026-11-20T23:59:59.999Z"})


def _wrong_seq(forger: Forger) -> None:
    forger.say("party", party("p"), PRODUCER, fields={"seq": 7})


def _another_kind(forger: Forger) -> None:
    forger.say("party", party("p"), PRODUCER, fields={"kind": "teacher"})


def _another_registry(forger: Forger) -> None:
    forger.say("party", party("p"), PRODUCER, registry="example.org/other")


def _an_id_twice(forger: Forger) -> None:
    forger.say("party", party("p"), PRODUCER, id=f"{1:032x}")


def _another_subject(forger: Forger) -> None:
    payload = statement.make("party", party("p"), header("a" * 32, None))
    found = json.loads(payload)
    found["subject"][0]["digest"]["sha256"] = "0" * 64
    forger.add("party", dsse.sign(canonical.encode(found), [PRODUCER]))


def _altered_signature(forger: Forger) -> None:
    envelope = dsse.sign(statement.make("party", party("p"), header("a" * 32, None)), [PRODUCER])
    signature = bytearray(b64decode(envelope.signatures[0].sig))
    signature[5] ^= 1
    one = msgspec.structs.replace(envelope.signatures[0], sig=b64encode(bytes(signature)).decode())
    forger.add("party", msgspec.structs.replace(envelope, signatures=(one,)))


def _a_signature_twice(forger: Forger) -> None:
    envelope = dsse.sign(statement.make("party", party("p"), header("a" * 32, None)), [PRODUCER])
    forger.add("party", msgspec.structs.replace(envelope, signatures=envelope.signatures * 2))


def _another_payload_type(forger: Forger) -> None:
    payload = statement.make("party", party("p"), header("a" * 32, None))
    forger.add("party", dsse.sign(payload, [PRODUCER], "application/json"))


def _genesis_again(forger: Forger) -> None:
    forger.say("genesis", statement.read(dsse.payload_of(genesis_envelope())).body, ADMIN)


def _seen_the_future(forger: Forger) -> None:
    forger.say("party", party("p"), PRODUCER, seen=s.Seen(size=9, root="sha256:" + "0" * 64))


def _consume_by_another(forger: Forger) -> None:
    forger.say("key", key_body(TRAINER, "trainer"), ADMIN, TRAINER)
    forger.say("run", msgspec.structs.replace(BODIES["run.open"], run_key=RUN.public.base64), TRAINER, RUN)
    forger.say("consume", msgspec.structs.replace(BODIES["consume"], run=f"run:{forger.count:032x}"), TRAINER)


def _consume_after_close(forger: Forger) -> None:
    forger.say("key", key_body(TRAINER, "trainer"), ADMIN, TRAINER)
    forger.say("run", msgspec.structs.replace(BODIES["run.open"], run_key=RUN.public.base64), TRAINER, RUN)
    run = f"run:{forger.count:032x}"
    forger.say("run", msgspec.structs.replace(BODIES["run.close"], run=run), TRAINER)
    forger.say("consume", msgspec.structs.replace(BODIES["consume"], run=run), RUN)


def _run_without_its_key(forger: Forger) -> None:
    forger.say("key", key_body(TRAINER, "trainer"), ADMIN, TRAINER)
    forger.say("run", msgspec.structs.replace(BODIES["run.open"], run_key=RUN.public.base64), TRAINER)


def _grant_of_more(forger: Forger) -> None:
    forger.say("key", key_body(TRAINER, "trainer"), ADMIN, TRAINER)
    forger.say("run", msgspec.structs.replace(BODIES["run.open"], run_key=RUN.public.base64), TRAINER, RUN)
    run = f"run:{forger.count:032x}"
    grant = BODIES["grant"]
    asked = s.GrantRequest(registry=ORIGIN, id="f" * 32, run=run, columns=("response",), mode=grant.mode, parts=grant.parts)
    request = dsse.sign(canonical.encode(asked), [RUN], s.REQUEST_TYPE)
    forger.say("grant", msgspec.structs.replace(grant, request=request, run=run), REGISTRY)


def _log_key(key: SigningKey, **fields: Any) -> s.Key:
    return msgspec.structs.replace(key_body(key, "log", **fields), public_key=msgspec.UNSET, vkey=key.verifier.format())


def _named(name: str, key: SigningKey) -> SigningKey:
    """The same secret under another name."""
    return SigningKey.from_seed(name, from_base64(key.to_text().split("+", 4)[4], "key")[1:])


def _the_log_key_again(forger: Forger) -> None:
    forger.say("key", _log_key(LOG_KEY), ADMIN)


def _a_log_key_that_expires(forger: Forger) -> None:
    forger.say("key", _log_key(_named(ORIGIN, RUN), not_after="2030-01-01"), ADMIN)


def _a_log_key_of_another_log(forger: Forger) -> None:
    forger.say("key", _log_key(_named("example.org/other", RUN)), ADMIN)


def _a_log_key_that_signs_statements(forger: Forger) -> None:
    forger.say("key", _log_key(_named(ORIGIN, PRODUCER)), ADMIN)


def _the_log_key_as_producer(forger: Forger) -> None:
    forger.say("key", key_body(LOG_KEY, "producer"), ADMIN, LOG_KEY)


FORGERIES: list[tuple[Callable[[Forger], None], str]] = [
    (_the_log_key_again, "which this log has had before"),
    (_a_log_key_that_expires, "expected a log key that signs nothing else"),
    (_a_log_key_of_another_log, "expected a log key of"),
    (_a_log_key_that_signs_statements, "expected a log key that signs nothing else"),
    (_the_log_key_as_producer, "which signs nothing but checkpoints"),
    (_without_role, "expected a signature in the role trainer, found one as compliance, producer"),
    (_by_registry, "expected a signature in the role compliance, found one as registry"),
    (_after_revocation, "in force, found it was revoked by entry 2"),
    (_enrolled_again, "in force, found it was revoked by entry 2"),
    (_enrolled_by_a_producer, "expected signatures of 1 admins in force, found 0"),
    (_enrolled_without_itself, "expected a signature of the enrolled key"),
    (_wrong_fingerprint, "expected the fingerprint"),
    (_broken_chain, "the leaf hash of the entry before, found 1111"),
    (_back_in_time, "expected a time of 2026-11-21T00:00:00.000Z or later"),
    (_wrong_seq, "expected seq 2, found 7"),
    (_another_kind, "urn:inbond:teacher:v1"),
    (_another_registry, f"expected registry {ORIGIN}"),
    (_an_id_twice, "expected a header id of its own"),
    (_another_subject, "expected one subject"),
    (_altered_signature, "expected a valid signature by"),
    (_a_signature_twice, "expected one signature a key"),
    (_another_payload_type, "expected payload type application/vnd.in-toto+json"),
    (_genesis_again, "expected entry 0, signed by its 1 admins"),
    (_seen_the_future, "expected header.seen of a size from 1 to 2, found 9"),
    (_consume_after_close, "closed by entry 4"),
    (_run_without_its_key, "expected a signature of the run's key"),
    (_grant_of_more, "expected a grant of what was requested"),
]


@pytest.mark.parametrize(("forge", "message"), FORGERIES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_forged_entry_is_refused(tmp_path: Path, forge: Callable[[Forger], None], message: str) -> None:
    forger = _enrolled()
    forge(forger)
    bundle, log = forger.check(tmp_path / "bundle")
    for found in (bundle, log):
        assert found.code == 3, found
        assert any(message in line for line in found.of("FAILED")), found.of("FAILED")
    assert len(bundle.of("FAILED")) == 1


def test_the_end_of_the_log_key_before_there_is_another(tmp_path: Path) -> None:
    forger = _enrolled()
    forger.say("key", _log_key(LOG_KEY, revocation=s.Revocation(reason=s.RevocationReason.LOST)), ADMIN)
    bundle, log = forger.check(tmp_path / "bundle")
    assert (bundle.code, log.code) == (6, 3)
    for found in (bundle.of("missing"), log.of("FAILED")):
        assert any("the log key that comes after" in line for line in found), found


@pytest.mark.parametrize(("forge", "what"), [(_by_nobody, "a key statement for"), (_consume_by_another, "role run")])
def test_a_key_that_is_not_known_is_open_in_a_bundle_and_refused_in_a_log(
    tmp_path: Path, forge: Callable[[Forger], None], what: str
) -> None:
    forger = _enrolled()
    forge(forger)
    bundle, log = forger.check(tmp_path / "bundle")
    assert bundle.code == (6 if forge is _by_nobody else 3)
    assert log.code == 3
    assert any(what in line for line in bundle.of("missing") + bundle.of("FAILED"))


def test_what_only_a_full_log_shows(tmp_path: Path) -> None:
    forger = _enrolled()
    forger.say("party", party("p"), PRODUCER, seen=s.Seen(size=2, root="sha256:" + "0" * 64))
    bundle, log = forger.check(tmp_path / "seen")
    assert (bundle.code, log.code) == (0, 3)
    assert "expected header.seen with root" in log.of("FAILED")[0]
    forger = _enrolled()
    forger.say("party", party("p"), PRODUCER, seen=None)
    assert [found.code for found in forger.check(tmp_path / "first")] == [0, 3]


def test_a_key_that_expired_signs_nothing(tmp_path: Path) -> None:
    for limit, code in (("2026-11-21", 0), ("2026-11-20", 3), ("2026-11-20T23:59:59.999Z", 3)):
        forger = _enrolled(not_after=limit)
        forger.say("party", party("p"), PRODUCER)
        assert [found.code for found in forger.check(tmp_path / limit)] == [code, code]


def test_what_a_suspect_key_signed_is_open(tmp_path: Path) -> None:
    forger = _enrolled()
    forger.say("party", party("p"), PRODUCER)
    forger.say("party", party("q"), PRODUCER)
    end = s.Revocation(reason=s.RevocationReason.COMPROMISED, suspect_from_seq=3)
    forger.say("key", key_body(PRODUCER, "producer", revocation=end), ADMIN)
    bundle, _ = forger.check(tmp_path / "bundle")
    assert bundle.code == 6
    assert [line.split(": ")[0][-13:] for line in bundle.of("missing")] == ["/3.tlog-proof"]


def test_doubt_about_a_key_reaches_what_it_brought(tmp_path: Path) -> None:
    forger = Forger(genesis_envelope((ADMIN, ADMIN_2)))
    forger.say("key", key_body(PRODUCER, "producer", "compliance"), ADMIN, PRODUCER)
    forger.say("party", party("p"), PRODUCER)
    for fields in ({"suspect_from_seq": 1}, {}):  # the second revocation takes nothing back
        end = s.Revocation(reason=s.RevocationReason.COMPROMISED, **fields)
        forger.say("key", key_body(ADMIN, "admin", revocation=end), ADMIN_2)
    bundle, _ = forger.check(tmp_path / "bundle")
    assert bundle.code == 6
    assert [line.split(": ")[0][-13:] for line in bundle.of("missing")] == ["/1.tlog-proof", "/2.tlog-proof"]


def test_a_dataset_of_something_else_than_shards(tmp_path: Path) -> None:
    forger, store = _enrolled(), FolderStore(tmp_path / "store")
    parts = store.put_lines([{"rows": 3}])
    forger.say("dataset", msgspec.structs.replace(BODIES["dataset"], parts=parts), PRODUCER)
    write(tmp_path / "bundle" / "objects" / parts.digest[7:], store.get(parts.digest))
    bundle, _ = forger.check(tmp_path / "bundle")
    assert (bundle.code, "expected shard, a str" in bundle.of("FAILED")[0]) == (3, True)


@pytest.mark.parametrize(("count", "root"), [(2, "0" * 64), (3, "")])
def test_a_list_has_the_root_and_count_stated(tmp_path: Path, count: int, root: str) -> None:
    forger, store = _enrolled(), FolderStore(tmp_path / "store")
    parts = store.put_lines([{"shard": "shard:" + "a" * 32}, {"shard": "shard:" + "b" * 32}])
    stated = msgspec.structs.replace(parts, count=count, root=f"sha256:{root}" if root else parts.root)
    forger.say("dataset", msgspec.structs.replace(BODIES["dataset"], parts=stated), PRODUCER)
    write(tmp_path / "bundle" / "objects" / parts.digest[7:], store.get(parts.digest))
    bundle, _ = forger.check(tmp_path / "bundle")
    assert (bundle.code, "expected a list" in bundle.of("FAILED")[0]) == (3, True)


def test_a_shard_has_the_size_and_block_root_stated(tmp_path: Path) -> None:
    data = random.Random(3).randbytes(200_000)
    tree = [merkle.leaf_hash(data[at : at + 65_536]) for at in range(0, len(data), 65_536)]
    right = {"size": len(data), "block_root": f"sha256:{merkle.root_of(tree).hex()}"}
    for change, code in (({}, 0), ({"size": len(data) - 1}, 3), ({"block_root": "sha256:" + "0" * 64}, 3)):
        forger = _enrolled()
        body = msgspec.structs.replace(BODIES["shard"], file=f"sha256:{sha256(data).hexdigest()}", **(right | change))
        forger.say("shard", body, PRODUCER)
        folder = tmp_path / "".join(change) / "bundle"
        write(folder / "shards" / f"{sha256(data).hexdigest()}.parquet", data)
        assert forger.check(folder)[0].code == code


def test_a_threshold_of_admins(tmp_path: Path) -> None:
    for keys, code in (((ADMIN, ADMIN_2), 0), ((ADMIN,), 3), ((ADMIN_2,), 3)):
        forger = Forger(genesis_envelope((ADMIN, ADMIN_2), 2))
        forger.say("key", key_body(PRODUCER, "producer"), *keys, PRODUCER)
        assert [found.code for found in forger.check(tmp_path / str(len(keys)) / keys[0].name)] == [code, code]
    one_of_two = dsse.sign(dsse.payload_of(genesis_envelope((ADMIN, ADMIN_2), 2)), [ADMIN])
    assert [found.code for found in Forger(one_of_two).check(tmp_path / "genesis")] == [3, 3]


def test_a_log_key_that_no_statement_names(tmp_path: Path) -> None:
    body = statement.read(dsse.payload_of(genesis_envelope())).body
    body = msgspec.structs.replace(body, log_keys=(SigningKey.from_seed(ORIGIN, bytes(32)).verifier.format(),))
    forger = Forger(dsse.sign(statement.make("genesis", body, header("0" * 32, None)), [ADMIN]))
    assert [found.code for found in forger.check(tmp_path / "bundle")] == [6, 3]


@pytest.mark.parametrize("kind", ["novel", "decision.ask", "run"])
def test_a_kind_that_is_not_known_is_not_proved(tmp_path: Path, kind: str) -> None:
    forger = _enrolled()
    forger.say_raw(kind, {"phase": "novel"}, PRODUCER)
    code = 3 if "." in kind else 6
    assert [found.code for found in forger.check(tmp_path / "bundle")] == [code, code]


def test_no_key_statement_makes_a_run_key(tmp_path: Path) -> None:
    forger = Forger()
    body = json.loads(canonical.encode(key_body(PRODUCER, "producer"))) | {"roles": ["run"]}
    forger.say_raw("key", body, ADMIN, PRODUCER)
    bundle, log = forger.check(tmp_path / "bundle")
    assert (bundle.code, log.code) == (3, 3)
    assert "expected roles among" in bundle.of("FAILED")[0]


def test_checkpoints_of_two_sizes(tmp_path: Path) -> None:
    forger = _enrolled()
    for i in range(4):
        forger.say("party", party(str(i)), PRODUCER)
    genesis, folder = merkle.leaf_hash(forger.entries[0]).hex(), tmp_path / "bundle"
    for seq in range(5):
        write(folder / "receipts" / f"{seq}.tlog-proof", forger.receipt(seq, 5 if seq < 4 else 6))
    found = check(POLICY.format(), genesis, folder)
    assert found.code == 6
    assert "that size 5 is a prefix of size 6 is not shown" in found.of("missing")[0]
    leaves = [merkle.leaf_hash(entry) for entry in forger.entries]
    proof = merkle.consistency_proof(5, 6, lambda level, i: merkle.root_of(leaves[i << level : (i + 1) << level]))
    write(folder / "consistency" / "5-6", b"".join(b64encode(item) + b"\n" for item in proof))
    assert check(POLICY.format(), genesis, folder).code == 0
    (folder / "consistency" / "5-6").write_bytes(b"".join(b64encode(item) + b"\n" for item in proof[:-1]))
    assert check(POLICY.format(), genesis, folder).code == 3
    (folder / "consistency" / "5-6").unlink()
    forger.export(folder / "log")
    assert check(POLICY.format(), genesis, folder).code == 0


def test_two_histories_of_one_size_are_a_fork(tmp_path: Path) -> None:
    one, two = _enrolled(), _enrolled()
    one.say("party", party("one"), PRODUCER)
    two.say("party", party("two"), PRODUCER)
    write(tmp_path / "a" / "receipts" / "0.tlog-proof", one.receipt(0))
    write(tmp_path / "a" / "receipts" / "1.tlog-proof", one.receipt(1))
    write(tmp_path / "b" / "receipts" / "2.tlog-proof", two.receipt(2))
    found = check(POLICY.format(), merkle.leaf_hash(one.entries[0]).hex(), tmp_path / "a", tmp_path / "b")
    assert found.code == 3
    assert "a fork" in found.of("FAILED")[0]


def test_a_long_log_has_tiles_of_two_levels(tmp_path: Path) -> None:
    forger = _enrolled()
    for i in range(258):
        forger.say("party", party(str(i)), PRODUCER)
    genesis, folder = merkle.leaf_hash(forger.entries[0]).hex(), forger.export(tmp_path / "out")
    assert check(POLICY.format(), genesis, folder).code == 0
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert names == ["checkpoint", "tile/0/000", "tile/0/001.p/4", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/4"]
    for name in names[1:]:
        flip(folder / name, 30)
        found = check(POLICY.format(), genesis, folder)
        assert found.code == 3
        assert found.of("FAILED")[0].startswith(f"{folder / name}: ")
        flip(folder / name, 30)
    (folder / "tile/1/000.p/1").unlink()
    found = check(POLICY.format(), genesis, folder)
    assert (found.code, len(found.of("missing"))) == (6, 1)


def mutate(data: Any, value: Any) -> Any:
    """`value` with one part, drawn at random, replaced, dropped, or joined by another."""
    if isinstance(value, dict) and value and data.draw(st.integers(0, 3)):
        name = data.draw(st.sampled_from(sorted(value)))
        rest = {key: item for key, item in value.items() if key != name}
        return rest if data.draw(st.integers(0, 5)) == 0 else rest | {name: mutate(data, value[name])}
    if isinstance(value, list) and value and data.draw(st.integers(0, 3)):
        at = data.draw(st.integers(0, len(value) - 1))
        return [*value[:at], mutate(data, value[at]), *value[at + 1 :]]
    other = st.none() | st.booleans() | st.integers(-3, 2**53 - 1) | st.text(max_size=4)
    return data.draw(
        other | st.lists(other, max_size=2) | st.dictionaries(st.sampled_from(["a", "digest", "root", "count"]), other)
    )


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_no_statement_breaks_the_program(story: Story, tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    """Whatever is signed and logged, the answer is proved, missing or FAILED."""
    keys = {key.public.fingerprint: key for key in (ADMIN, REGISTRY, PRODUCER, TRAINER, RUN)}
    with story.log.reading() as reader:
        entries = [reader.entry(seq) for seq in range(reader.size)]
    seq = data.draw(st.integers(0, len(entries) - 1))
    entry = parse_entry(entries[seq])
    wire = json.loads(dsse.payload_of(entry.dsse))
    wire["predicate"] = mutate(data, wire["predicate"])
    if data.draw(st.integers(0, 9)) == 0:
        wire = mutate(data, wire)
    elif entry.kind not in verify.SUBJECTS:
        wire["subject"][0]["digest"]["sha256"] = sha256(canonical.encode(wire["predicate"])).hexdigest()
    signed = dsse.sign(canonical.encode(wire), [keys[item.keyid] for item in entry.dsse.signatures])
    again = canonical.encode(msgspec.structs.replace(entry, dsse=signed))
    history = verify.History(merkle.leaf_hash(again if seq == 0 else entries[0]), data.draw(st.booleans()))
    for at, earlier in enumerate(entries[:seq]):
        history.keep(history.stand(at, earlier))
    report = verify.Report(quiet=True)
    found = report.attempt("entry", lambda: history.stand(seq, again))
    if found is not None:
        history.keep(found)
        history.check_doubt(found.seq, found.signers)
        report.attempt("content", lambda: verify.check_content(found, history, {}, set(), {}, report))
        for digest in [digest for digest, _, _ in found.names][:3]:
            content = verify.Content(digest, 5, "sha256:" + "0" * 64)
            report.attempt("file", lambda content=content: verify.prove_file(verify.__file__, "file", content, history))
    for follower in entries[seq + 1 :]:
        report.attempt("entry", lambda follower=follower: history.stand(seq + 1, follower))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_record_breaks_the_program(story: Story, tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    history, file = verify.History(bytes.fromhex(story.genesis), False), tmp_path_factory.getbasetemp() / "record.json"
    with story.log.reading() as reader:
        for seq in range(story.seq["shard"] + 1):
            history.keep(history.stand(seq, reader.entry(seq)))
    original = json.loads(story.record)
    altered = mutate(data, original)
    file.unlink(missing_ok=True)
    file.write_bytes(canonical.encode(altered))
    report = verify.Report(quiet=True)
    assert report.check("record", lambda: verify.prove_record(str(file), history)) == (canonical.encode(altered) == story.record)


# Witnesses and policies ------------------------------------------------------------------------------------------------


def test_a_quorum_of_witnesses(story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    post_quantum = VerifierKey("pq.example", ML_DSA_44, bytes(1312))
    witnesses = (Witness("w", WITNESS_KEY), Witness("pq", post_quantum))
    policy = TrustPolicy(POLICY.logs, witnesses[:1], (), "w").format()
    both = TrustPolicy(POLICY.logs, witnesses, (Group("both", 2, ("w", "pq")),), "both").format()
    bundle = story.bundle(tmp_path / "bundle")
    found = check(policy, story.genesis, bundle)
    assert found.code == 3
    assert "expected cosignatures that meet the quorum 'w', found none" in found.of("FAILED")[0]

    def cosign(sign: Callable[[bytes], bytes], *more: NoteSignature) -> None:
        for name, seq in story.seq.items():
            receipt = story.log.receipt(seq)
            note = notes.parse(receipt.checkpoint)
            blob = (1_700_000_000).to_bytes(8, "big") + sign(b"cosignature/v1\ntime 1700000000\n" + note.text)
            line = NoteSignature(WITNESS_KEY.name, WITNESS_KEY.key_id, blob)
            signed = notes.Note(note.text, (*note.signatures, line, *more)).to_bytes()
            again = Receipt(receipt.index, receipt.proof, signed, receipt.extra)
            (bundle / "receipts" / f"{story.seq[name]}.tlog-proof").write_bytes(again.to_bytes())

    cosign(WITNESS.sign)
    assert check(policy, story.genesis, bundle).code == 0
    assert check(both, story.genesis, bundle).code == 3
    cosign(WITNESS.sign, NoteSignature(post_quantum.name, post_quantum.key_id, bytes(2428)))
    found = check(both, story.genesis, bundle)
    assert (found.code, "expected a valid signature by pq.example" in found.of("FAILED")[0]) == (3, True)
    monkeypatch.setattr(verify, "HAS_ML_DSA", False)
    found = check(both, story.genesis, bundle)
    assert (found.code, "rests on ML-DSA" in found.of("missing")[0]) == (6, True)
    cosign(lambda data: bytes(64))
    assert check(policy, story.genesis, bundle).code == 3
    assert check(POLICY.format(), story.genesis, bundle).code == 0


OTHER_WITNESS = VerifierKey("v", COSIGNATURE_V1, ADMIN.public.raw)
LINES = st.lists(
    st.sampled_from(
        f"""log {LOG_KEY.verifier.format()}
log {LOG_KEY.verifier.format()} https://x
log {WITNESS_KEY.format()}
witness w {WITNESS_KEY.format()}
witness v {OTHER_WITNESS.format()} https://v
witness none x
group g any w
group g 1 w v
group h all w g
group h 2 v
group i 0 w
group i any
group w any v
quorum g
quorum w
quorum none
\tquorum\t none
quorum\x00none
 # quorum none
log x y z w

""".split("\n")
    ),
    max_size=7,
)


@settings(max_examples=120, deadline=None)
@given(lines=LINES)
def test_both_implementations_accept_the_same_policies(lines: list[str]) -> None:
    text = f"log {LOG_KEY.verifier.format()}\n" + "\n".join(lines)
    ours = theirs = True
    try:
        TrustPolicy.parse(text)
    except InvalidInput:
        ours = False
    try:
        verify.Policy(text.encode())
    except verify.Failed:
        theirs = False
    assert ours == theirs


# The two implementations beside each other -----------------------------------------------------------------------------

HASHES = st.integers(1, 70).map(lambda size: [merkle.leaf_hash(b"%d" % i) for i in range(size)])


@settings(max_examples=40, deadline=None)
@given(leaves=HASHES, data=st.data())
def test_both_trees_are_the_same(leaves: list[bytes], data: Any) -> None:
    tree = verify.Tree()
    assert tree.root() == merkle.EMPTY_ROOT
    for leaf in leaves:
        tree.append(leaf)
    size = len(leaves)
    old = data.draw(st.integers(1, size))
    index = data.draw(st.integers(0, size - 1))
    assert tree.root() == merkle.root_of(leaves)
    assert tree.root(old) == merkle.root_of(leaves[:old])

    def node(level: int, i: int) -> bytes:
        return tree.levels[level][i]

    path = merkle.inclusion_proof(index, size, node)
    assert verify.root_by_inclusion(index, size, leaves[index], path) == tree.root()
    verify.check_consistent(old, size, merkle.consistency_proof(old, size, node), tree.root(old), tree.root())
    other = data.draw(st.integers(0, size + 1))
    altered = data.draw(st.sampled_from([path, path[:-1], [*path, leaves[0]], path[::-1]]))
    if (other, altered) != (index, path):
        try:
            merkle.verify_inclusion(other, size, leaves[index], altered, tree.root())
            accepted = True
        except InbondError:
            accepted = False
        found = None
        with suppress(verify.Failed):
            found = verify.root_by_inclusion(other, size, leaves[index], altered)
        assert (found == tree.root()) == accepted


def test_the_published_probes(shared_vectors: Path) -> None:
    def refused(probe: dict[str, Any]) -> bool:
        path = [b64decode(item) for item in probe["proof"] or []]
        try:
            if "leafIdx" in probe:
                root = verify.root_by_inclusion(probe["leafIdx"], probe["treeSize"], b64decode(probe["leafHash"] or ""), path)
                return root != b64decode(probe["root"] or "")
            roots = [b64decode(probe[name] or "") for name in ("root1", "root2")]
            verify.check_consistent(probe["size1"], probe["size2"], path, *roots)
        except verify.Failed:
            return True
        return False

    files = sorted((shared_vectors / "rfc6962-proofs").rglob("*.json"))
    wrong = [file for file in files if refused(json.loads(file.read_bytes())) != json.loads(file.read_bytes())["wantErr"]]
    assert (len(files), wrong) == (196, [])


def test_the_published_small_log(shared_vectors: Path) -> None:
    vkey = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
    policy = verify.Policy(f"log {vkey}\nquorum none\n".encode())
    report = verify.Report(quiet=True)
    log = verify.open_log(str(shared_vectors / "tlog-small"), policy.open, report)
    assert (log.head.size, b64encode(log.tree.root())) == (15, b"rKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=")
    assert report.lines == []
    for size in range(1, 16):
        opened = policy.open((shared_vectors / "tlog-small" / f"checkpoint.{size}").read_bytes())
        assert (opened.size, opened.root) == (size, log.tree.root(size))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**55), 2**55) | st.text(max_size=6) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def _as_text(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")


@settings(max_examples=120, deadline=None)
@given(
    data=st.binary(max_size=40) | JSON.map(_as_text) | JSON.map(lambda value: json.dumps(value, separators=(",", ":")).encode())
)
def test_both_implementations_accept_the_same_json(data: bytes) -> None:
    ours: Any = InvalidInput
    theirs: Any = InvalidInput
    with suppress(InvalidInput):
        ours = canonical.decode(data)
    with suppress(verify.Failed):
        theirs = verify.canonical(data)
    assert ours == theirs


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 65 + b"]" * 65,
        b"[" * 60_000,
        b'{"a":1,"a":1}',
        b'"\\ud800"',
        b"9" * 5000,
        b"-0",
        b"1.0",
        b"NaN",
        b"\xef\xbb\xbf1",
        b" 1",
    ],
)
def test_json_that_is_refused(data: bytes) -> None:
    with pytest.raises(verify.Failed):
        verify.canonical(data)
    assert verify.canonical(b"[" * 64 + b"]" * 64)


@pytest.mark.parametrize("parse", [verify.split_note, verify.Policy, verify.canonical])
@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=80) | st.text(max_size=60).map(lambda text: ("a\n\n— " + text + "\n").encode(errors="replace")))
def test_parsers_raise_nothing_but_failed(parse: Callable[[bytes], Any], data: bytes) -> None:
    with suppress(verify.Failed):
        parse(data)
