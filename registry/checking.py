"""Verification from the bytes up: of one thing, or of everything that a registry holds."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from msgspec import UnsetType
from sqlalchemy import select

from inbond.ledger import dsse
from inbond.ledger.cosigner import read_signer
from inbond.ledger.entries import parse_entry
from inbond.ledger.logkeys import fingerprint_of
from inbond.ledger.policy import NO_QUORUM, TrustPolicy
from inbond.registry import tables as t
from inbond.registry.home import CONFIG, POLICY, Home, config_text
from inbond.registry.mentions import named_objects
from inbond.registry.opened import OpenRegistry
from inbond.registry.policies import policy_text
from inbond.registry.reading import any_reader, open_shard, statement_of
from inbond.registry.training.layout import shards_in
from inbond.registry.versions import parts_of
from inbond.schemas import statement
from inbond.schemas.errors import InbondError, NotFound, NotPermitted, StoreError, VerificationError
from inbond.schemas.statements import Shard

Progress = Callable[[str, int, int], None]


@dataclass
class Checked:
    """What a verification looked at. `problems` says what differs, expected against found; none means all is proved."""

    entries: int = 0
    signatures: int = 0
    shards: int = 0
    records: int = 0
    objects: int = 0
    keys: int = 0
    problems: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """proved, inconclusive or differs."""
        return "differs" if self.problems else "inconclusive" if self.unchecked else "proved"


def verify(registry: OpenRegistry, ref: str | None, progress: Progress | None) -> Checked:
    """Check `ref` (its statement, and its bytes where it has some), or everything: log, catalogue, shards, objects, keys."""
    checked = Checked()
    if ref is None:
        _everything(registry, checked, progress)
        return checked
    start = registry.resolve(ref)
    wanted = [start]
    if start.startswith("dataset:"):
        wanted += shards_in(parts_of(registry, start))
    for count, item in enumerate(wanted):
        _thing(registry, item, checked)
        checked.entries += 1
        if progress:
            progress("verifying", count + 1, len(wanted))
    return checked


def _everything(registry: OpenRegistry, checked: Checked, progress: Progress | None) -> None:
    try:
        audited = registry.audit((lambda done, total: progress("replaying the log", done, total)) if progress else None)
    except VerificationError as error:  # the policy that it is to be audited under
        checked.problems.append(error.message)
    else:
        checked.entries, checked.signatures = audited.size, audited.signatures
        checked.unchecked += audited.unchecked
        if audited.problem:
            checked.problems.append(audited.problem)
    _keys(registry, checked)
    _files(registry, checked)
    try:
        with registry.reading() as reader:
            refs = list(reader.connection.execute(select(t.shards.c.ref).order_by(t.shards.c.seq)).scalars())
    except InbondError as error:
        checked.problems.append(error.message)
        return
    for count, ref in enumerate(refs):
        _thing(registry, ref, checked)
        if progress:
            progress("verifying shards", count + 1, len(refs))
    _objects(registry, checked, progress)


def _thing(registry: OpenRegistry, ref: str, checked: Checked) -> None:
    try:
        found = registry.place.statement(ref)
        digests = named_objects(found.body, found.header)
        if isinstance(found.body, Shard) and not registry.is_local:
            digests.remove(found.body.file)
            checked.unchecked.append(f"{ref}: its bytes, which leave a server against a grant or a delivery only")
        elif isinstance(found.body, Shard):
            with any_reader(registry.place, ref, found.body) as shard:
                shard.check_records()
                if not isinstance(found.body.text_shard, UnsetType):
                    _check_against_text(registry, found.body.text_shard, shard)
            checked.shards, checked.records = checked.shards + 1, checked.records + int(found.body.rows)
        for digest in digests:
            _object(registry, digest.removeprefix("sha256:"), ref)
            checked.objects += 1
    except NotFound as error:
        checked.problems.append(f"{ref}: {error.message}")
    except InbondError as error:
        checked.problems.append(error.message if ref in error.message else f"{ref}: {error.message}")


def _check_against_text(registry: OpenRegistry, text: str, logits: Any) -> None:
    """Log-probabilities are about the rows of the text shard that their statement names."""
    with open_shard(registry.place, text) as shard:
        logits.check_against(shard)


def _objects(registry: OpenRegistry, checked: Checked, progress: Progress | None) -> None:
    """Every object that a statement names, and every other that lies in the store, has the bytes of its name."""
    digests = dict.fromkeys([*_named(registry, checked), *(item.digest for item in registry.store.list())])
    for count, digest in enumerate(digests):
        try:
            _object(registry, digest)
            checked.objects += 1
        except InbondError as error:
            checked.problems.append(error.message)
        if progress:
            progress("verifying objects", count + 1, len(digests))


def _named(registry: OpenRegistry, checked: Checked) -> Iterator[str]:
    with registry.reading() as reader:
        for ref in list(reader.connection.execute(select(t.things.c.ref).where(t.things.c.kind != "shard")).scalars()):
            if not ref.startswith(("party:", "genesis:")):
                try:
                    found = statement_of(registry.log, reader, ref)
                except InbondError as error:
                    checked.problems.append(f"{ref}: {error.message}")
                else:
                    yield from (digest.removeprefix("sha256:") for digest in named_objects(found.body, found.header))


def _object(registry: OpenRegistry, digest: str, of: str | None = None) -> None:
    """The bytes have the digest; on a server, those that the statement `of` names."""
    if of is not None and not registry.is_local:
        registry.place.object(digest, of)
        return
    seen = hashlib.sha256()
    with registry.store.open(digest) as file:
        while block := file.read(1 << 20):
            seen.update(block)
    if seen.hexdigest() != digest:
        raise VerificationError(f"object {digest}: expected bytes of this SHA-256, found {seen.hexdigest()}")


def _files(registry: OpenRegistry, checked: Checked) -> None:
    """registry.toml says what the log says, and policy.txt trusts its keys; which witnesses it wants, the operator chose."""
    home, log = registry.home, registry.log
    with registry.reading() as reader:
        first = parse_entry(reader.entry(0))
    operator = f"party:{statement.read(dsse.payload_of(first.dsse)).header.id}"
    expected = Home(home.folder, log.origin, log.genesis_leaf, operator, home.bucket)
    for name, text in ((CONFIG, config_text(expected)), (POLICY, policy_text(log.keyring.log))):
        found = (home.folder / name).read_bytes() if (home.folder / name).is_file() else b""
        if found != text and not (name == POLICY and _trusts(found, text)):
            checked.problems.append(f"{home.folder / name}: expected {text.decode()!r}, found {found.decode(errors='replace')!r}")


def _trusts(found: bytes, text: bytes) -> bool:
    """Whether a policy trusts the logs that `text` does and no others; witnesses may stand in the place of its comment."""
    try:
        mine, ours = (TrustPolicy.parse(policy.decode()) for policy in (found, text))
    except (InbondError, UnicodeDecodeError):
        return False
    comments = {line for line in text.split(b"\n") if line.startswith(b"#")}
    whole = mine.quorum != NO_QUORUM or comments.issubset(found.split(b"\n"))
    return whole and [log.vkey for log in mine.logs] == [log.vkey for log in ours.logs]


def _keys(registry: OpenRegistry, checked: Checked) -> None:
    """Every key file at hand is whole and is a key of this log."""
    known = set(registry.log.keyring.keys) | {fingerprint_of(key) for key in registry.log.keyring.log_keys}
    with registry.reading() as reader:
        runs = {row.ref.partition(":")[2]: row.keyid for row in reader.connection.execute(select(t.runs.c.ref, t.runs.c.keyid))}
    for path in sorted(registry.keys.folder.rglob("*.key")):
        try:
            found = fingerprint_of(read_signer(path).verifier)
            if path.parent.name == "runs":  # one without a run is what an interrupted pull left
                expected = runs.get(path.stem, found)
                if expected != found:
                    checked.problems.append(f"{path}: expected the key {expected[:16]}, found {found[:16]}")
            elif found not in known:
                checked.unchecked.append(f"{path}: a key that this log does not know ({found[:16]})")
            checked.keys += 1
        except (NotPermitted, StoreError) as error:  # nothing differs: the file may not be read, or by too many
            checked.unchecked.append(error.message)
        except InbondError as error:
            checked.problems.append(error.message if str(path) in error.message else f"{path}: {error.message}")
