"""inbond-verify: check what an inbond registry handed out, with this one file, Python 3.11 or later, and `cryptography`.

It shares no code with inbond, on purpose: it is the second opinion. Read it from top to bottom; every rule it applies is
here. It takes two things on trust, both from the command line: a policy (C2SP tlog-policy: whose log, which witnesses)
and the genesis hash (RFC 6962 leaf hash of entry 0, as the operator published it). All else follows from them.

What a line `proved` means
  receipt   A log that the policy accepts signed a checkpoint, with the witnesses that the policy wants, and with every
            log key that the checkpoint's size selects among those of genesis and key statements; the entry stands
            in it at this index; it is canonical, follows its predecessor (where that is shown) and is not earlier; it
            holds one in-toto statement of a kind known here; every signature on it verifies under a key that was in
            force there, and the kind's role (ROLES below) is among them; key statements have the admins' threshold.
  file      Its bytes are those that a proved statement names; a shard also has the size and the block root stated, a list
            the root and the number of lines stated.
  record    The record is row n of a shard that a proved statement describes. The shard itself is not needed for it:
            --without-shards says so.
  log       The same for every entry of the log, in order, without a gap: chain, tree, tiles, times, signatures, roles;
            and that the heads which signers say they had seen (header.seen) are heads of this log.

A log's key may have changed since the policy was written. Then the key is followed: from genesis, which the hash pins, through
key statements that enough admins signed, as far as they are at hand; `noted` says so.

What nothing here proves
  That a statement is true, or that everything that happened was stated. That the operator shows others the same log: only
  witnesses in the policy, or comparing checkpoints, show it. The operator's clock. That bodies have all fields of their
  kind, and that the registry's own rules were kept (ownership, terms, existence of what is named): `inbond log audit`
  does. From receipts alone: that none of the entries left out revokes a key or closes a run; a full log shows it.
  Whatever cannot be decided is `missing`, never proved. Where `cryptography` lacks ML-DSA, a quorum that rests on it is missing,
  and it is noted that the log's own ML-DSA signatures were not checked.

Exit codes: 0 all proved; 2 usage; 3 something FAILED; 6 something is missing; 1 a defect of this program.
"""

import argparse
import binascii
import hashlib
import json
import os
import re
import stat
import sys
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import cache, partial
from typing import Any, NamedTuple, TypeVar

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

try:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
except ImportError:
    HAS_ML_DSA = False
else:
    HAS_ML_DSA = True

# Who may sign which kind (of statements with a phase: kind.phase); one signer with one of these roles is needed.
ANYONE = frozenset({"admin", "producer", "trainer", "compliance", "auditor", "provider", "registry"})
OWNERS = frozenset({"producer", "trainer", "compliance"})
ROLES: dict[str, frozenset[str]] = {
    **dict.fromkeys(("genesis", "key"), frozenset({"admin"})),
    **dict.fromkeys(("party", "operator", "terms", "terms_fact", "acceptance", "report"), frozenset({"compliance"})),
    **dict.fromkeys(("teacher", "source", "shard", "dataset"), frozenset({"producer"})),
    **dict.fromkeys(("student", "run.open", "run.close", "live_use", "release"), frozenset({"trainer"})),
    **dict.fromkeys(("grant", "delivery"), frozenset({"registry"})),
    "consume": frozenset({"run"}),  # the key that the run's opening names, until the run is closed
    "decision.ask": ANYONE, "decision.rule": frozenset({"compliance"}), "ack": ANYONE, "recall": OWNERS, "erasure": OWNERS,
}  # fmt: skip

# The object that a statement is about, where it is not the statement itself: where in the body its digest stands.
SUBJECTS = {"shard": "file", "dataset": "parts.digest", "grant": "parts.digest", "release": "weights", "recall": "targets.digest",
            "erasure": "targets.digest", "report": "model"}  # fmt: skip

# The columns of a record, in framing order: what its id is over, and what else its leaf is over (after the prompt's id).
CONTENT = {"prompt": "turns", "own_turns": "numbers", "response": "text", "reasoning": "text", "extra": "text", "refs": "texts",
           "label": "text"}  # fmt: skip
OTHERS = {"sample": "number", "kind": "text", "input_ids": "numbers", "finish_reason": "text", "request_id": "text",
          "requested_model": "text", "served_model": "text", "sampling": "text", "subject_refs": "texts", "created_at": "number",
          "prompt_tokens": "number", "response_tokens": "number"}  # fmt: skip

BLOCK, MAX_ENTRY, MAX_PAYLOAD = 65_536, 65_535, 48_000  # bytes
SCREEN = 20  # lines
MAX_RECEIPT, MAX_LINE, MAX_RECORD = 1 << 20, 1 << 20, 1 << 27
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE, REQUEST_TYPE = "application/vnd.in-toto+json", "application/vnd.inbond.request+json"
ED25519, COSIGNATURE_V1, ML_DSA_44 = 0x01, 0x04, 0x06

T = TypeVar("T")
Json = dict[str, Any]


class Failed(Exception):
    """Something is not what it should be; the message says what was expected and what was found."""


class Missing(Exception):
    """Something can be neither proved nor disproved with what is at hand."""


def want(condition: bool, expected: str, found: object) -> None:
    """Raise Failed unless `condition` holds."""
    if not condition:
        raise Failed(f"expected {expected}, found {(found if isinstance(found, str) and found else repr(found))[:300]}")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns its exit code."""
    parser = argparse.ArgumentParser(prog="inbond-verify", description="Check an evidence bundle, a log or a receipt, offline.")
    parser.add_argument("--policy", required=True, help="tlog-policy file: the logs and witnesses that you trust")
    parser.add_argument("--genesis", required=True, metavar="HASH", help="leaf hash of entry 0, 64 hex digits, as published")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end instead of lines")
    parser.add_argument("--without-shards", action="store_true", help="shard files need not be at hand: their lack is noted")
    parser.add_argument("--file", action="append", default=[], metavar="FILE", help="a file that the bundle should speak of")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a bundle, an exported log, a .tlog-proof, or a record's proof")
    options = parser.parse_args(argv)
    report = Report(quiet=options.json)
    try:
        want(is_hex(options.genesis, 64), "--genesis with 64 lower-case hex digits", options.genesis)
        for path in (*options.paths, *options.file):
            want(os.path.exists(path), "a file or folder that exists", f"none at {path}")
        policy = Policy(read_file(options.policy, 1 << 20))
        files = gather(options.paths, report)
    except (Failed, OSError) as error:
        parser.error(printable(str(error)))
    try:
        verify(policy, bytes.fromhex(options.genesis), files, options.file, report, options.without_shards)
        report.finish()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our lines has gone: what follows would be lost, so it is no success
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        print(printable(f"inbond-verify: a defect of this program, nothing is proved: {error!r}"), file=sys.stderr)
        return 1
    return report.exit_code


class Report:
    """The lines, one a thing checked: status (proved, missing, FAILED; or noted, which decides nothing), what, text."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.lines: list[tuple[str, str, str]] = []

    def add(self, status: str, what: str, text: str) -> None:
        """Add a line."""
        self.lines.append((status, printable(what), printable(text)))
        if not self.quiet:
            self._print("{:<7} {}: {}".format(*self.lines[-1]))

    def attempt(self, what: str, do: Callable[[], T]) -> T | None:
        """What `do` returns, or None and a line that says why not."""
        try:
            return do()
        except Failed as error:
            self.add("FAILED", what, str(error))
        except Missing as error:
            self.add("missing", what, str(error))
        except OSError as error:
            self.add("missing", what, f"it could not be read: {error.strerror}")
        return None

    def check(self, what: str, prove: Callable[[], str]) -> bool:
        """Add one line: what `prove` says that it proved, or why it did not."""
        text = self.attempt(what, prove)
        if text is not None:
            self.add("proved", what, text)
        return text is not None

    @property
    def exit_code(self) -> int:
        """3 if anything failed, else 6 if anything is missing or nothing was proved, else 0."""
        found = {status for status, _, _ in self.lines}
        return 3 if "FAILED" in found else 0 if "missing" not in found and "proved" in found else 6

    def finish(self) -> None:
        """Print the verdict with its counts, or everything as JSON."""
        verdict = {0: "ok", 3: "FAILED", 6: "inconclusive"}[self.exit_code]
        counts = {name: sum(line[0] == name for line in self.lines) for name in ("proved", "missing", "FAILED", "noted")}
        checks = [dict(zip(("status", "what", "text"), line, strict=True)) for line in self.lines]
        if self.quiet:
            self._print(json.dumps({"verdict": verdict, "counts": counts, "checks": checks}, indent=1))
        else:
            failed = [at for at, line in enumerate(self.lines) if line[0] == "FAILED"]
            if failed and failed[0] + SCREEN < len(self.lines):  # it has run off the screen
                self._print(f"the first of {len(failed)} FAILED:" if len(failed) > 1 else "what FAILED:")
                for at in failed[:5]:
                    self._print("{:<7} {}: {}".format(*self.lines[at]))
            self._print(f"{verdict} · " + " · ".join(f"{count} {name}" for name, count in counts.items()))

    def _print(self, line: str) -> None:
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        print(line.encode(encoding, "backslashreplace").decode(encoding))


# The whole, in the order in which one thing rests on another -----------------------------------------------------------


def gather(paths: list[str], report: Report) -> dict[str, list[str]]:
    """Sort the files of all paths; what is no part of a bundle is noted, so that nobody takes it for checked."""
    files: dict[str, list[str]] = {name: [] for name in ("receipts", "shards", "objects", "records", "consistency", "log")}
    for path in paths:
        if not os.path.isdir(path):
            files["records" if is_record(path) else "receipts"].append(path)
            continue
        logs = [folder for folder in (path, os.path.join(path, "log")) if is_file(os.path.join(folder, "checkpoint"))]
        files["log"] += logs
        for name in sorted(os.listdir(path)):
            entry = os.path.join(path, name)
            if name in files and name != "log" and os.path.isdir(entry):
                files[name] += [os.path.join(entry, item) for item in sorted(os.listdir(entry))]
            elif entry not in logs and not (path in logs and name in ("checkpoint", "tile")):
                report.add("noted", entry, "not part of a bundle, not looked at")
    want(len(files["log"]) < 2, "at most one full log", ", ".join(files["log"]))
    return files


def is_record(file: str) -> bool:
    """Whether a file is the proof of a record, and no receipt, by how it begins."""
    with open(file, "rb") as stream:
        return stream.read(1) == b"{"


def verify(
    policy: "Policy", genesis: bytes, files: dict[str, list[str]], beside: list[str], report: Report, few: bool = False
) -> None:
    """Check all `files` of bundles, by kind, and the files `beside` them that they should speak of.

    `few`: whoever asks wants statements and records, and no shard files.
    """
    hashed = [*files["shards"], *files["objects"], *beside]
    contents = {file: found for file in hashed if (found := report.attempt(file, partial(measure, file))) is not None}
    policy.more = partial(follow, policy, genesis, files)
    accept = cache(policy.open)  # receipts of one bundle mostly have the same checkpoint
    opened = [report.attempt(file, partial(open_receipt, file, accept)) for file in files["receipts"]]
    receipts = sorted((receipt for receipt in opened if receipt is not None), key=lambda receipt: receipt.seq)
    log = None
    for folder in files["log"]:
        log = report.attempt(os.path.join(folder, "checkpoint"), partial(open_log, folder, accept, report))
    history = History(genesis, complete=log is not None and log.has_entries)
    roots = {} if log is None else {log.head.size: log.head.root}
    if log is not None and log.has_entries:
        indexes, wanted = {receipt.seq for receipt in receipts}, {content.digest for content in contents.values()}
        report.check(log.folder, partial(replay, log, history, indexes, wanted))
    placed = [(receipt, report.attempt(receipt.file, partial(place, receipt, history, roots, log))) for receipt in receipts]
    shown = [s for r, s in placed if s is not None and report.check(r.file, partial(conclude, r, s, history, log))]
    for statement in shown:
        history.keep(statement)
    check_consistency(files["consistency"], roots, log, report)
    note_keys(policy, history, [receipt.head for receipt in receipts], log, report)
    if shown and not history.complete and len(history.stood) < max(roots):
        text = f"{len(history.stood)} of {max(roots)} entries; that no other revokes a key or closes a run, a full log would show"
        report.add("noted", "receipts", text)
    whole = {}
    for file, content in contents.items():
        kind = "shard" if file in files["shards"] else "object" if file in files["objects"] else "file"
        if report.check(file, partial(prove_file, file, kind, content, history)):
            whole[content.digest] = file
    for file in files["records"]:
        report.check(file, partial(prove_record, file, history))
    gone = report.attempt("recalls", partial(withdrawn, shown, whole)) or {}
    for statement in shown:
        tried = {content.digest for content in contents.values()}
        report.attempt(statement.ref, partial(check_content, statement, history, whole, tried, gone, report, few))
    if not report.lines:
        report.add("missing", "bundle", "there is nothing to check: expected receipts, or a log with its checkpoint")


def place(receipt: "Receipt", history: "History", roots: dict[int, bytes], log: "Log | None") -> "Statement":
    """The statement of a receipt at its place among the others; Missing where it is not at hand."""
    seq, size, root = receipt.seq, receipt.head.size, receipt.head.root
    if log is not None and size <= log.tree.size:
        want(log.tree.root(size) == root, f"root {log.tree.root(size).hex()}, which the log has at size {size}", root.hex())
    first = roots.setdefault(size, root)
    want(first == root, f"root {first.hex()}, which another checkpoint of size {size} has", f"{root.hex()}: a fork")
    if receipt.entry is not None and seq not in history.stood and not history.complete:
        history.stood[seq] = history.stand(seq, receipt.entry)
    statement = history.stood.get(seq)
    if statement is None:
        why = "it is not among the entries that were proved in the log" if history.complete else "the receipt does not hold it"
        raise Missing(f"what entry {seq} says cannot be checked: {why}")
    leaf = statement.leaf if receipt.entry is None else leaf_hash(receipt.entry)
    want(leaf == statement.leaf, f"leaf hash {statement.leaf.hex()}, which entry {seq} has elsewhere", leaf.hex())
    receipt.check(leaf)
    return statement


def follow(policy: "Policy", genesis: bytes, files: dict[str, list[str]]) -> list["Vkey"]:
    """The log keys that genesis and the key statements at hand name, each signed by enough admins, and nobody has revoked.

    None unless the policy trusts one of them. Nothing else is believed of these entries: where they stand, receipts say.
    """
    found: set[tuple[int, bytes]] = set()

    def take(entries: Iterable[tuple[int, bytes | None]]) -> None:
        found.update((seq, data) for seq, data in entries if data is not None and (seq == 0 or b'"kind":"key"' in data))

    for file in files["receipts"]:
        with suppress(Failed, OSError):
            take([split_receipt(file)[:2]])
    for folder in files["log"]:
        with suppress(Failed, OSError):
            names = sorted(os.path.join(at, name) for at, _, some in os.walk(os.path.join(folder, "tile")) for name in some)
            for name in names:
                source, n, _ = parse_tile("/".join(os.path.relpath(name, folder).split(os.sep))) or ("", 0, 0)
                take(enumerate(entries_in(name), 256 * n) if source == "entries" else ())
    history = History(genesis, complete=False)
    for seq, entry in sorted(found):
        if seq == 0 or history.origin is not None:
            with suppress(Failed, Missing):
                history.stand(seq, entry)
    trusted = any(key.vkey in policy.logs for key in history.log_keys.values())
    return [key.vkey for key in history.log_keys.values() if key.end is None] if trusted else []


def note_keys(policy: "Policy", history: "History", heads: list["Checkpoint"], log: "Log | None", report: Report) -> None:
    """Say whose signatures on checkpoints were not looked at, and which keys the policy does not have."""
    known = {(key.name, key.id) for key in (*policy.logs, *policy.witnesses.values())}
    known |= {(key.vkey.name, key.vkey.id) for key in history.log_keys.values()}
    for status, some in (("noted", heads), ("missing", [] if log is None else [log.head])):
        strange = sorted({f"{line[0]}+{line[1].hex()}" for head in some for line in head.lines if line[:2] not in known})
        if strange:
            report.add(status, "checkpoints", f"signatures by {', '.join(strange)}: no statement and no policy names them")
    if history.unread:
        text = f"signatures by {', '.join(sorted(history.unread))} were not checked: this library of Python has no ML-DSA-44"
        report.add("noted", "checkpoints", text)
    if policy.followed:
        text = f"the log's key has changed to {', '.join(sorted(policy.followed))}: ask for a policy that names it"
        report.add("noted", "policy", text)


def conclude(receipt: "Receipt", statement: "Statement", history: "History", log: "Log | None") -> str:
    """What a receipt proves, now that all keys are known; where it was compared with a full log, whoever signed its head."""
    history.check_head(receipt.head, settled=log is not None and log.has_entries and receipt.head.size <= log.tree.size)
    history.check_doubt(statement.seq, statement.signers)
    return f"entry {statement.seq} of {receipt.head.size}, {statement.ref}, signed by {statement.by}"


def check_consistency(files: list[str], roots: dict[int, bytes], log: "Log | None", report: Report) -> None:
    """Report each checkpoint that is not shown to be a prefix of the newest: receipts could be of two histories.

    A file <old size>-<new size> holds a consistency proof (RFC 6962 section 2.1.2), a base64 hash a line.
    """
    steps: list[tuple[int, int]] = []

    def prove(file: str) -> str:
        name = re.fullmatch("([1-9][0-9]{0,18})-([1-9][0-9]{0,18})", os.path.basename(file))
        lines = read_file(file, 1 << 14).decode("latin-1").split("\n")
        if name is None or lines.pop():
            raise Failed("expected a file <old size>-<new size> of lines of base64, found another name or form")
        old, new = int(name[1]), int(name[2])
        if old not in roots or new not in roots:
            raise Missing(f"no checkpoint of size {old if old not in roots else new} is in the bundle")
        check_consistent(old, new, [from_base64(line, "hash", length=32) for line in lines], roots[old], roots[new])
        steps.append((old, new))
        return f"the log of size {new} extends the log of size {old}"

    for file in files:
        report.check(file, partial(prove, file))
    linked = {max(roots, default=0)}
    for old, new in sorted(steps, key=lambda step: -step[1]):
        linked.update({old} if new in linked else ())
    if log is not None and log.tree.size in linked:
        linked.update(size for size in roots if size <= log.tree.size)
    for size in sorted(roots.keys() - linked):
        text = f"that size {size} is a prefix of size {max(roots)} is not shown; receipts under one checkpoint would do"
        report.add("missing", "checkpoints", text)


def prove_file(file: str, kind: str, content: "Content", history: "History") -> str:
    """Check a file's bytes against its name (but for `kind` file) and every statement that names them."""
    if kind != "file":
        suffix = ".parquet" if kind == "shard" else ""
        digest = os.path.basename(file).removesuffix(suffix)
        want(is_hex(digest, 64) and file.endswith(digest + suffix), f"a name of 64 hex digits and {suffix!r}", digest)
        want(content.digest == digest, f"bytes with the SHA-256 {digest}", f"{content.digest} over {content.size} bytes")
    uses = history.uses.get(content.digest, {})
    found = {key: use for key, use in uses.items() if kind != "shard" or (key[1] == "body.file" and key[0].startswith("shard:"))}
    if not found:
        raise Missing(f"no proved statement names {'a shard' if kind == 'shard' else 'bytes'} with the SHA-256 {content.digest}")
    for (ref, where), (statement, listed) in found.items():
        history.check_doubt(statement.seq, statement.signers)
        if listed is not None:
            check_list(file, content.digest, listed)
        elif statement.kind == "shard" and where == "body.file":
            size, root = get(statement.body, "size", int), get(statement.body, "block_root", str)
            want(content.size == size, f"{size} bytes, as {ref} says", str(content.size))
            want(content.block_root == root, f"block root {root}, as {ref} says", content.block_root)
    return f"{content.size} bytes, " + ", ".join(f"{where} of {ref}" for ref, where in list(found)[:4])


def check_list(file: str, digest: str, listed: Json) -> None:
    """Check the lines of a list object: digest, number, root, and that each is canonical JSON."""
    whole, tree = hashlib.sha256(), Tree()
    for line in lines_of(file):
        whole.update(line)
        tree.append(leaf_hash(line[:-1]))
    want(whole.hexdigest() == digest, f"a list with the SHA-256 {digest}", whole.hexdigest())
    found = {"root": tree.root().hex(), "count": tree.size}
    want(found == listed, f"a list with {listed}", str(found))
    for line in lines_of(file):
        canonical(line[:-1])


def lines_of(file: str) -> Iterator[bytes]:
    """The lines of a file, with their newlines; Failed for one that is too long or has none."""
    with open(file, "rb") as stream:
        while line := stream.readline(MAX_LINE + 1):
            want(line.endswith(b"\n"), f"lines of at most {MAX_LINE} bytes that end in a newline", "another line")
            yield line


def withdrawn(shown: list["Statement"], whole: dict[str, str]) -> dict[str, int]:
    """The shards that a shown recall names, itself or through a dataset, and its entry: their bytes need not be at hand."""
    corrected, gone = {statement.amends for statement in shown}, dict[str, int]()
    parts = {s.ref: digest_at(s.body, "parts.digest") for s in shown if s.kind == "dataset"}
    for statement in shown:
        targets = digest_at(statement.body, "targets.digest") if statement.kind == "recall" else None
        if targets not in whole or statement.ref in corrected:
            continue
        for line in lines_of(whole[targets]):
            target = get(canonical(line[:-1]), "object", str)
            file = whole.get(parts.get(target, ""))
            shards = shards_in(file) if file else [target]
            gone.update(dict.fromkeys(shards, statement.seq))
    return gone


def shards_in(file: str) -> set[str]:
    """The shards that a list of parts names: of text, and of the log-probabilities beside it."""
    found = set[str]()
    for line in lines_of(file):
        part = canonical(line[:-1])
        found.update({get(part, "shard", str), *(strings(part, "logits") if "logits" in part else ())})
    return found


def check_content(
    statement: "Statement",
    history: "History",
    whole: dict[str, str],
    tried: set[str],
    gone: dict[str, int],
    report: Report,
    few: bool = False,
) -> None:
    """Report the content of a shown shard or dataset that is not in the bundle; of other kinds it is only noted.

    `whole` are the files that were proved; what is in `tried` but not there has a line of its own already. What is
    withdrawn (`gone`) may be left out, and so may shards where `few` files are wanted.
    """
    if statement.kind not in SUBJECTS:
        return
    needed, digest = statement.kind in ("shard", "dataset"), digest_at(statement.body, SUBJECTS[statement.kind])
    if digest not in tried and digest != hashlib.sha256().hexdigest():
        text = f"its object {SUBJECTS[statement.kind]}, {digest}, is not in the bundle"
        by = gone.get(statement.ref, gone.get(statement.amends or ""))
        if by is not None:
            text += f": entry {by} withdraws it"
        excused = by is not None or (few and statement.kind == "shard")
        report.add("missing" if needed and not excused else "noted", statement.ref, text)
    if statement.kind == "dataset" and digest in whole:
        for part in sorted(shards_in(whole[digest])):
            shard = history.shards.get(part)
            if part not in gone and (shard is None or shard.file not in tried):
                text = f"of {part}, a part of it, the {'statement' if shard is None else 'file'} is not in the bundle"
                report.add("noted" if few and shard is not None else "missing", statement.ref, text)


# Receipts and logs -----------------------------------------------------------------------------------------------------


class Receipt(NamedTuple):
    """A tlog-proof whose checkpoint is accepted and whose entry, where it has one, is included."""

    file: str
    seq: int
    path: list[bytes]
    head: "Checkpoint"
    entry: bytes | None

    def check(self, leaf: bytes) -> None:
        """Raise Failed unless the path leads from `leaf` to the root."""
        found = root_by_inclusion(self.seq, self.head.size, leaf, self.path)
        want(found == self.head.root, f"a path that leads to the root {self.head.root.hex()}", found.hex())


def open_receipt(file: str, accept: "Accept") -> Receipt:
    """Read and check a C2SP tlog-proof: accepted checkpoint, and inclusion of the entry that is its `extra`."""
    seq, entry, path, note = split_receipt(file)
    name, folder = os.path.basename(file), os.path.basename(os.path.dirname(os.path.abspath(file)))
    want(folder != "receipts" or name == f"{seq}.tlog-proof", f"the receipt that {name} names", f"that of entry {seq}")
    receipt = Receipt(file, seq, path, accept(note), entry)
    want(seq < receipt.head.size, f"an index below the size {receipt.head.size}", str(seq))
    if entry is not None:
        receipt.check(leaf_hash(entry))
    return receipt


def split_receipt(file: str) -> tuple[int, bytes | None, list[bytes], bytes]:
    """Index, entry (where it is there), path and signed note of a C2SP tlog-proof; nothing is verified."""
    head, blank, note = read_file(file, MAX_RECEIPT).partition(b"\n\n")
    lines = head.decode("latin-1").split("\n")
    want(bool(blank) and lines.pop(0) == "c2sp.org/tlog-proof@v1", "the line c2sp.org/tlog-proof@v1", head[:30])
    entry = from_base64(lines.pop(0)[6:], "extra", limit=MAX_ENTRY) if lines and lines[0].startswith("extra ") else None
    want(bool(lines) and lines[0].startswith("index ") and len(lines) <= 64, "'index <number>' and at most 63 hashes", lines[:1])
    seq = decimal(lines.pop(0)[6:], "index")
    return seq, entry, [from_base64(line, "hash", length=32) for line in lines], note


class Log(NamedTuple):
    """A full export (C2SP tlog-tiles) whose hashes lead to the root of its checkpoint."""

    folder: str
    head: "Checkpoint"
    tree: "Tree"
    has_entries: bool


def open_log(folder: str, accept: "Accept", report: Report) -> Log:
    """Accept the checkpoint, find the leaf hashes that it commits to, and compare every tile and bundle with them."""
    head = accept(read_file(os.path.join(folder, "checkpoint"), MAX_RECEIPT))
    sources = ["entries", "0"] if os.path.isdir(os.path.join(folder, "tile", "entries")) else ["0"]
    trees = {}  # entries and lowest tiles give the same tree; if one is altered, the other tells which
    for source in sources:
        trees[source] = report.attempt(os.path.join(folder, "tile", source), partial(tree_from, folder, source, head.size))
    tree = next((tree for tree in trees.values() if tree is not None and tree.root() == head.root), None)
    if tree is None:
        found = ", ".join(f"{tree.root().hex()} from tile/{source}" for source, tree in trees.items() if tree is not None)
        raise Failed(f"expected tiles and entries with the root {head.root.hex()} of size {head.size}, found {found or 'none'}")
    if "entries" not in sources:
        report.add("missing", folder, "it holds no entries, only hashes: what they say cannot be checked")
    sound = compare_tiles(folder, tree, sources, report)
    return Log(folder, head, tree, trees.get("entries") is not None and sound)


def tree_from(folder: str, source: str, size: int) -> "Tree":
    """The tree of `size` leaves over entry bundles (source "entries") or over the tiles of level "0"."""
    tree = Tree()
    for n in range(-(-size // 256)):
        for leaf in leaves_in(tile_file(folder, source, n, min(256, size - 256 * n)), source)[: size - 256 * n]:
            tree.append(leaf)
    want(tree.size == size, f"{size} leaves", str(tree.size))
    return tree


def compare_tiles(folder: str, tree: "Tree", sources: list[str], report: Report) -> bool:
    """Compare every file under tile/ with `tree` and see that none is lacking; returns whether all entries are right."""
    sound = True
    for where, _, names in sorted(os.walk(os.path.join(folder, "tile"))):
        for file in (os.path.join(where, name) for name in sorted(names)):
            source, n, width = parse_tile("/".join(os.path.relpath(file, folder).split(os.sep))) or ("none", 0, 0)
            level = int(source) if source.isdigit() else 0
            if not width or not is_file(file) or (256 * n + width) << (8 * level) > tree.size:
                report.add("noted", file, "no tile of a log of this size, not looked at")
                continue
            expected = tree.levels[8 * level][256 * n : 256 * n + width]
            right = report.attempt(file, partial(compare_leaves, file, source, expected))
            sound = sound and (right is not None or source != "entries")
    for level in range(0, tree.size.bit_length(), 8):
        hashes = tree.size >> level
        for source in sources if level == 0 else [str(level // 8)]:
            for n in range(-(-hashes // 256)):
                report.attempt(folder, partial(tile_file, folder, source, n, min(256, hashes - 256 * n)))
    return sound


def compare_leaves(file: str, source: str, expected: list[bytes]) -> bool:
    """Raise Failed, naming the first one, unless a tile or bundle holds the expected hashes; else True."""
    found = leaves_in(file, source)
    want(len(found) == len(expected), f"{len(expected)} entries or hashes", str(len(found)))
    for at, (a, b) in enumerate(zip(expected, found, strict=True)):
        want(a == b, f"hash {a.hex()} at place {at}, which the checkpoint commits to", b.hex())
    return True


def replay(log: Log, history: "History", indexes: set[int], wanted: set[str]) -> str:
    """Let every entry of a full log stand, in order; keep the statements at `indexes` and those that name `wanted`."""
    signatures = 0
    try:
        for seq, data in enumerate(entry for n in range(-(-log.tree.size // 256)) for entry in log_entries(log, n)):
            want(leaf_hash(data) == log.tree.levels[0][seq], f"entry {seq} as it was a moment ago", "other bytes")
            statement = history.stand(seq, data, log.tree)
            signatures += len(statement.signers)
            history.keep(statement, wanted)
            if seq in indexes:
                history.stood[seq] = statement
        history.last = log.tree.size
        history.check_head(log.head)
    except (Failed, Missing, OSError) as error:
        for kept in (history.stood, history.uses, history.shards):
            kept.clear()
        if isinstance(error, OSError):
            raise
        raise type(error)(f"{'checkpoint' if history.last == log.tree.size else f'entry {history.last}'}: {error}") from None
    return f"all {log.tree.size} entries of {log.head.origin}: chain, tree, tiles, times, roles and {signatures} signatures"


def log_entries(log: Log, n: int) -> list[bytes]:
    """The entries of bundle `n`."""
    width = min(256, log.tree.size - 256 * n)
    return entries_in(tile_file(log.folder, "entries", n, width))[:width]


def leaves_in(file: str, source: str) -> list[bytes]:
    """The hashes in a tile, or the leaf hashes of the entries in a bundle."""
    if source == "entries":
        return [leaf_hash(entry) for entry in entries_in(file)]
    data = read_file(file, 8192)
    want(len(data) % 32 == 0, f"hashes of 32 bytes in {file}", f"{len(data)} bytes")
    return [data[at : at + 32] for at in range(0, len(data), 32)]


def entries_in(file: str) -> list[bytes]:
    """The entries of a bundle: each after its length in two bytes, big-endian."""
    data, at = read_file(file, 256 * (MAX_ENTRY + 2)), 0
    entries: list[bytes] = []
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        want(at + 2 <= len(data) and end <= len(data), f"{end - at} bytes at byte {at} of {file}", str(len(data) - at))
        entries.append(data[at + 2 : end])
        at = end
    return entries


def tile_file(folder: str, source: str, n: int, width: int) -> str:
    """The file of a tile or bundle, partial or full; Missing where there is neither."""
    names = [os.path.join(folder, tile_name(source, n, w)) for w in (width, 256)]
    for name in names:
        if is_file(name):
            return name
    raise Missing(f"{names[0]} is not there")


def tile_name(source: str, n: int, width: int) -> str:
    """The path of a tile of hashes (source: its level) or of an entry bundle (source: "entries")."""
    digits = str(n).zfill(-(-len(str(n)) // 3) * 3)
    groups = [f"x{digits[at : at + 3]}" for at in range(0, len(digits), 3)]
    return "/".join(["tile", source, *groups[:-1], groups[-1][1:]]) + (f".p/{width}" if width < 256 else "")


def parse_tile(name: str) -> tuple[str, int, int] | None:
    """Source, number and width of the tile with this path; None where `tile_name` would not write it so."""
    match = re.fullmatch(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", name)
    tile = (match[1], int(re.sub("[x/]", "", match[2])), int(match[3] or 256)) if match is not None else None
    return tile if tile is not None and tile_name(*tile) == name else None


# The history that entries tell -----------------------------------------------------------------------------------------


class Key:
    """A public key, what it may sign as, and when it ends."""

    def __init__(self, raw: bytes, roles: frozenset[str] = frozenset(), not_after: str | None = None) -> None:
        self.raw, self.roles, self.not_after = raw, roles, not_after
        self.id = hashlib.sha256(raw).hexdigest()
        self.end: int | None = None  # the entry that revoked it, or closed its run
        self.suspect: int | None = None


class LogKey:
    """A key that signs checkpoints, from the entry `since` that names it; `end` and `suspect` as of any other key."""

    def __init__(self, vkey: "Vkey", since: int) -> None:
        self.vkey, self.since = vkey, since
        self.id = hashlib.sha256(vkey.raw).hexdigest()
        self.end: int | None = None
        self.suspect: int | None = None

    def signs_at(self, size: int) -> bool:
        """Whether no entry that a checkpoint of this size covers has revoked it."""
        return self.end is None or self.end >= size


class Shard(NamedTuple):
    """What a shard statement at `seq` measured."""

    seq: int
    signers: list[str]
    file: str
    record_root: str
    rows: int


class Statement(NamedTuple):
    """A statement at its place, its signatures checked. `by` says who signed, for people."""

    seq: int
    leaf: bytes
    kind: str
    ref: str
    body: Json
    names: list[tuple[str, str, Json | None]]  # as `names_in` finds them
    shard: Shard | None
    signers: list[str]
    by: str
    amends: str | None


class History:
    """A fold over entries, in order: which keys are in force, which runs are open. `complete`: there are no gaps."""

    def __init__(self, genesis: bytes, complete: bool) -> None:
        self.genesis, self.complete = genesis, complete
        self.origin: str | None = None
        self.threshold = 1
        self.keys: dict[str, Key] = {}
        self.log_keys: dict[str, LogKey] = {}  # by vkey
        self.unread: set[str] = set()  # log keys whose signatures could not be verified here
        self.runs: dict[str, Key] = {}
        # By id of each key that has signed: the entries that brought it, with their signers.
        self.introduced: dict[str, list[tuple[int, list[str]]]] = {}
        self.last, self.last_leaf, self.time = -1, bytes(32), ""
        self.ids: set[str] = set()
        # What was kept: statements by seq, shards by reference, and by digest who names it (reference, where) as what.
        self.stood: dict[int, Statement] = {}
        self.shards: dict[str, Shard] = {}
        self.uses: dict[str, dict[tuple[str, str], tuple[Statement, Json | None]]] = {}

    def stand(self, seq: int, data: bytes, tree: "Tree | None" = None) -> Statement:
        """Check the entry `data`, whose place `seq` is proved, against all before it, and take in what follows from it."""
        follows, prev_leaf, leaf = self.last == seq - 1, self.last_leaf.hex(), leaf_hash(data)
        self.last, self.last_leaf = seq, leaf
        want(seq != 0 or leaf == self.genesis, f"genesis with the leaf hash {self.genesis.hex()}", leaf.hex())
        entry = members(canonical(data), "dsse", "kind", "prev", "seq", "time", "v")
        want(len(data) <= MAX_ENTRY and get(entry, "v", int) == 1, "an entry of version 1", entry["v"])
        want(get(entry, "seq", int) == seq, f"seq {seq}", entry["seq"])
        kind, prev, time = get(entry, "kind", str), get(entry, "prev", str), moment(get(entry, "time", str))
        want(re.fullmatch("[a-z_]{1,32}", kind) is not None, "a kind of a to z and underscores", kind)
        chained = is_hex(prev, 64) and (prev == prev_leaf or not follows)
        want(chained, f"prev {prev_leaf}, the leaf hash of the entry before", prev)
        want(time >= self.time, f"a time of {self.time} or later", time)
        self.time = time
        envelope = members(entry["dsse"], "payload", "payloadType", "signatures")
        payload = from_base64(get(envelope, "payload", str), "payload", limit=MAX_PAYLOAD)
        predicate = self._predicate(kind, payload)
        body, header = predicate["body"], predicate["header"]
        identity, origin = get(header, "id", str), get(header, "registry", str)
        if seq == 0:
            want(kind == "genesis" and body.get("origin") == origin, f"genesis of {origin}", f"{kind} of {body.get('origin')}")
        elif self.origin is None:
            raise Missing("genesis, from which the keys follow, was not proved")
        else:
            want(origin == self.origin, f"registry {self.origin}", origin)
        want(is_hex(identity, 32) and identity not in self.ids, "a header id of its own", identity)
        signers = self._signers(time, kind, body, envelope, payload)
        self._check_seen(header, seq, signers, tree)
        self._check_roles(seq, kind, body, signers)
        by = ", ".join(f"{'/'.join(sorted(key.roles)) or 'itself'} {key.id[:16]}" for key in signers.values())
        shard = None
        if kind == "shard":
            shard = Shard(seq, list(signers), digest_at(body, "file"), digest_at(body, "record_root"), get(body, "rows", int))
        names = list(names_in(predicate))
        statement = Statement(seq, leaf, kind, f"{kind}:{identity}", body, names, shard, list(signers), by, header.get("amends"))
        self.ids.add(identity)
        self._take(statement, body, signers)
        return statement

    def keep(self, statement: Statement, wanted: set[str] | None = None) -> None:
        """Remember a shard, and who names which bytes: all, or those `wanted`."""
        for digest, where, listed in statement.names:
            if wanted is None or digest in wanted:
                self.uses.setdefault(digest, {})[statement.ref, where] = statement, listed
        if statement.shard is not None:
            self.shards[statement.ref] = statement.shard

    def unknown(self, what: str) -> Exception:
        """What to raise where `what` is not among the entries: with all of them at hand it does not exist."""
        return Failed(f"expected {what}, found none") if self.complete else Missing(f"{what} is not in the bundle")

    def check_head(self, head: "Checkpoint", settled: bool = False) -> None:
        """Raise unless a checkpoint is this log's, signed by the log keys that its size selects, and by no unknown one.

        `settled`: it is a prefix of a full log, so that doubt about who signed it matters no more.
        """
        want(head.origin == self.origin, f"a checkpoint of {self.origin}", head.origin)
        if not any(vkey in self.log_keys for vkey in head.signers):
            raise self.unknown(f"a statement that makes {head.signers[0]} a log key")
        known = {(key.vkey.name, key.vkey.id): key for key in self.log_keys.values()}
        signed: list[LogKey] = []
        for name, key_id, blob in head.lines:
            key = known.get((name, key_id))
            if key is None and name == head.origin:
                raise self.unknown(f"a statement that makes {name}+{key_id.hex()} a log key")
            if key is not None:
                want(key.since < head.size, "signatures by log keys that it covers", f"one by a key of entry {key.since}")
                try:
                    want(key.vkey.signs(head.text, blob), f"a valid signature by {name}", "one that does not verify")
                except Missing:
                    self.unread.add(f"{name}+{key_id.hex()}")
                signed.append(key)
        good: list[LogKey] = []
        for group in self._due(head.size):
            there = [key for key in group if key in signed and key.signs_at(head.size)]
            names = ", ".join(f"{key.vkey.name}+{key.vkey.id.hex()}" for key in group)
            found = ", ".join(f"{name}+{key_id.hex()}" for name, key_id, _ in head.lines)
            want(bool(there), f"a signature by {names}, the log key of entry {group[0].since}", found)
            good += there
        if not settled and all(key.suspect is not None and head.size > key.suspect for key in good):
            raise Missing(f"its log key is suspect beyond size {good[0].suspect}: ask for it under a newer checkpoint")

    def _due(self, size: int) -> list[list[LogKey]]:
        """Who had to sign the checkpoint of a size, of each group one.

        The newest key of each type; and where no checkpoint can stand between it and this one, the key before it too. Who was
        revoked signs no more.
        """
        groups = []
        for type in (ED25519, ML_DSA_44):
            keys = [key for key in self.log_keys.values() if key.vkey.type == type and key.since < size]
            seqs = sorted({key.since for key in keys})
            for since in seqs[-2:] if seqs[-1:] == [size - 1] else seqs[-1:]:
                group = [key for key in keys if key.since == since]
                if any(key.signs_at(size) for key in group):
                    groups.append(group)
        if not any(key.vkey.type == ED25519 for group in groups for key in group):
            raise self.unknown(f"a log key that is in force at size {size}")
        return groups

    def check_doubt(self, seq: int, signers: list[str]) -> None:
        """Raise Missing where a later revocation makes a signer suspect at `seq`, or one of those who brought its key."""
        todo, done = [(seq, signers)], set()
        while todo:
            seq, signers = todo.pop()
            for keyid in signers:
                key = self.keys.get(keyid)
                if key is not None and key.suspect is not None and seq >= key.suspect:
                    raise Missing(f"key {keyid[:16]}, which signed entry {seq}, was revoked as suspect from entry {key.suspect}")
                for step in self.introduced.get(keyid, ()):
                    if step[0] < seq and step[0] not in done:
                        done.add(step[0])
                        todo.append(step)

    def _predicate(self, kind: str, payload: bytes) -> Json:
        wire = members(canonical(payload), "_type", "predicate", "predicateType", "subject")
        types, expected = (wire["_type"], wire["predicateType"]), (STATEMENT_TYPE, f"urn:inbond:{kind}:v1")
        want(types == expected, f"an in-toto statement {expected}", types)
        predicate = members(wire["predicate"], "body", "header")
        body, _ = get(predicate, "body", dict), get(predicate, "header", dict)
        digest = digest_at(body, SUBJECTS[kind]) if kind in SUBJECTS else hashlib.sha256(encode(predicate)).hexdigest()
        only = [{"digest": {"sha256": digest}, "name": kind}]
        want(wire["subject"] == only, f"one subject, {only[0]}", wire["subject"])
        return predicate

    def _signers(self, time: str, kind: str, body: Json, envelope: Json, payload: bytes) -> dict[str, Key]:
        """The keys that signed, by id, each signature checked; with the keys that a statement may bring itself."""
        brought: list[Key] = []
        if kind == "genesis":
            admins = [public_key(raw) for raw in strings(body, "admins")]
            registry = public_key(get(body, "registry_key", str))
            for raw in {*admins, registry}:
                roles = {role for role, raws in (("admin", admins), ("registry", [registry])) if raw in raws}
                brought.append(Key(raw, frozenset(roles)))
        elif kind == "key" and "public_key" in body and "revocation" not in body:
            brought.append(Key(public_key(get(body, "public_key", str))))
        elif kind == "run" and body.get("phase") == "open":
            brought.append(Key(public_key(get(body, "run_key", str)), frozenset({"run"})))
        elif kind in ("consume", "grant"):
            run = self.runs.get(get(body, "run", str))
            if run is None:
                raise self.unknown(f"the opening of {body['run']}")
            want(run.end is None, "a run that is open", f"{body['run']}, closed by entry {run.end}")
            if kind == "consume":
                brought.append(run)
            else:
                self._check_request(body, run)
        own = {key.id: key for key in brought}
        key_of = partial(self._in_force, own, time)
        return self._check_signatures(envelope, payload, PAYLOAD_TYPE, key_of)

    def _in_force(self, own: dict[str, Key], time: str, keyid: str) -> Key | None:
        """The key as it stands, or as the statement itself brings it; Failed where it was revoked or has expired."""
        key = self.keys.get(keyid)
        if key is None:
            return own.get(keyid)
        want(key.end is None, f"key {keyid[:16]} in force", f"it was revoked by entry {key.end}")
        expired = key.not_after is not None and time[: len(key.not_after)] > key.not_after
        want(not expired, f"key {keyid[:16]} in force at {time}", f"it expired at {key.not_after}")
        return key

    def _check_signatures(self, envelope: Json, payload: bytes, kind: str, key_of: Callable[[str], Key | None]) -> dict[str, Key]:
        """Check all signatures of a DSSE envelope, each by a key of its own; returns the keys by id."""
        want(envelope["payloadType"] == kind, f"payload type {kind}", envelope["payloadType"])
        signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)
        found: dict[str, Key] = {}
        for signature in get(envelope, "signatures", list):
            keyid = get(members(signature, "keyid", "sig"), "keyid", str)
            want(is_hex(keyid, 64) and keyid not in found, "one signature a key", keyid)
            key = key_of(keyid)
            if key is None:
                raise self.unknown(f"a key statement for {keyid} before this entry")
            blob = from_base64(get(signature, "sig", str), "signature", length=64)
            valid = key.id == keyid and signs(key.raw, blob, signed)
            want(valid, f"a valid signature by {keyid[:16]}", "one that does not verify")
            found[keyid] = key
        want(1 <= len(found) <= 16, "1 to 16 signatures", str(len(found)))
        return found

    def _check_request(self, body: Json, key: Key) -> None:
        """Check the request inside a grant: the run's key signed it, and it asks for what was granted."""
        envelope = members(body.get("request"), "payload", "payloadType", "signatures")
        payload = from_base64(get(envelope, "payload", str), "request payload", limit=MAX_PAYLOAD)
        self._check_signatures(envelope, payload, REQUEST_TYPE, {key.id: key}.get)
        request = members(canonical(payload), "registry", "id", "run", "columns", "mode", "parts")
        found = {name: body.get(name) for name in ("run", "columns", "mode", "parts")} | {"registry": self.origin}
        want(encode(found | {"id": request["id"]}) == payload, f"a grant of what was requested, {request}", found)

    def _check_seen(self, header: Json, seq: int, signers: dict[str, Key], tree: "Tree | None") -> None:
        """A signer has seen this history, and no other one; null stands on genesis and with a key that is new."""
        if "seen" in header and header["seen"] is None:
            new = seq == 0 or not signers.keys() <= self.introduced.keys() or not self.complete
            want(new, "a size and root in header.seen, as every signer has signed before", "null")
            return
        size, root = get(header, "seen.size", int), digest_at(header, "seen.root")
        want(0 < size <= seq, f"header.seen of a size from 1 to {seq}", size)
        found = root if tree is None else tree.root(size).hex()
        want(found == root, f"header.seen with root {found} at size {size}", root)

    def _check_roles(self, seq: int, kind: str, body: Json, signers: dict[str, Key]) -> None:
        """Raise unless the signatures that the kind needs are among `signers`."""
        allowed = ROLES.get(kind) or ROLES.get(f"{kind}.{body.get('phase')}")
        if allowed is None:
            raise Missing(f"statements {kind}, phase {body.get('phase')!r}, are of a kind that this program does not know")
        found = {role for key in signers.values() for role in key.roles}
        shown = f"one as {', '.join(sorted(found)) or 'nobody'}"
        want(kind == "key" or bool(found & allowed), f"a signature in the role {' or '.join(sorted(allowed))}", shown)
        if kind == "genesis":
            admins = {Key(public_key(raw)).id for raw in strings(body, "admins")}
            valid = seq == 0 and signers.keys() == admins
            want(valid, f"entry 0, signed by its {len(admins)} admins", f"entry {seq}, signed by {len(signers)}")
            want(1 <= get(body, "threshold", int) <= len(admins), f"a threshold of 1 to {len(admins)}", body["threshold"])
            log_keys = [self._log_key(text, get(body, "origin", str)) for text in strings(body, "log_keys")]
            apart = any(key.type == ED25519 for key in log_keys) and admins.isdisjoint(Key(key.raw).id for key in log_keys)
            want(apart, "log keys of its own, one of them Ed25519", [key.text for key in log_keys])
        elif kind == "run" and body.get("phase") == "open":
            own = Key(public_key(get(body, "run_key", str))).id
            want(own in signers, f"a signature of the run's key {own[:16]}", "none")
        elif kind == "key":
            count = sum("admin" in key.roles for key in signers.values())
            want(count >= self.threshold, f"signatures of {self.threshold} admins in force", str(count))
            want(("public_key" in body) != ("vkey" in body), "either public_key or vkey", "both or none")
            vkey = self._log_key(get(body, "vkey", str), str(self.origin)) if "vkey" in body else None
            raw = public_key(get(body, "public_key", str)) if vkey is None else vkey.raw
            keyid, known = Key(raw).id, self.keys.get(Key(raw).id)
            want(get(body, "fingerprint", str) == keyid, f"the fingerprint {keyid} of the key", body["fingerprint"])
            of_log = [key for key in self.log_keys.values() if key.id == keyid]
            if "revocation" in body:
                if known is None and not of_log:
                    raise self.unknown(f"the enrolment of key {keyid[:16]}")
                if of_log and of_log == [key for group in self._due(seq + 1) for key in group if key.vkey.type == ED25519]:
                    raise self.unknown(f"the log key that comes after {keyid[:16]}")
            elif vkey is not None:
                alone = body.get("roles") == ["log"] and "not_after" not in body and known is None
                want(alone, "a log key that signs nothing else and has the role log alone", body)
                taken = {(key.vkey.name, key.vkey.id) for key in self.log_keys.values()}
                want((vkey.name, vkey.id) not in taken, "a new log key", f"{vkey.text}, which this log has had before")
            else:  # so a revoked key cannot come back: it signs nothing any more
                want(keyid in signers, f"a signature of the enrolled key {keyid[:16]}", "none")
                roles = strings(body, "roles")
                want(ANYONE.issuperset(roles), f"roles among {', '.join(sorted(ANYONE))}", ", ".join(roles))
                want(not of_log, "a key that is no log key", f"{keyid[:16]}, which signs nothing but checkpoints")

    def _log_key(self, text: str, origin: str) -> "Vkey":
        """The key in a vkey that may sign checkpoints of `origin`."""
        vkey = Vkey.parse(text)
        want(vkey.name == origin and vkey.type in (ED25519, ML_DSA_44), f"a log key of {origin}, of type 01 or 06", text)
        return vkey

    def _take(self, statement: Statement, body: Json, signers: dict[str, Key]) -> None:
        """Take in what later entries rest on: keys and runs."""
        kind, seq = statement.kind, statement.seq
        for keyid in signers:
            self.introduced.setdefault(keyid, [])
        if kind == "genesis":
            self.log_keys = {vkey: LogKey(Vkey.parse(vkey), 0) for vkey in strings(body, "log_keys")}
            registry = Key(public_key(get(body, "registry_key", str)), frozenset({"registry"}))
            self.keys = {registry.id: registry} | signers
            self.origin, self.threshold = get(body, "origin", str), get(body, "threshold", int)
        elif kind == "key" and "revocation" in body:
            both: list[Key | LogKey] = [*self.keys.values(), *self.log_keys.values()]
            for ended in both:
                if ended.id == body["fingerprint"]:
                    if "suspect_from_seq" in get(body, "revocation", dict):
                        suspect = get(body, "revocation.suspect_from_seq", int)
                        ended.suspect = suspect if ended.suspect is None else min(suspect, ended.suspect)
                    ended.end = seq if ended.end is None else ended.end
        elif kind == "key" and "vkey" in body:
            self.log_keys[body["vkey"]] = LogKey(Vkey.parse(body["vkey"]), seq)
        elif kind == "key":
            limit = get(body, "not_after", str) if "not_after" in body else None
            moment(limit if limit is not None and len(limit) != 10 else f"{limit or '2000-01-01'}T00:00:00.000Z")
            key = Key(public_key(body["public_key"]), frozenset(strings(body, "roles")), limit)
            self.keys[key.id] = key
            self.introduced[key.id].append((seq, statement.signers))
        elif kind == "run" and body.get("phase") == "open":
            key = Key(public_key(body["run_key"]), frozenset({"run"}))
            self.runs[statement.ref] = key
            self.introduced[key.id].append((seq, statement.signers))
        elif kind == "run" and get(body, "run", str) in self.runs:
            self.runs[body["run"]].end = seq


def names_in(predicate: Json) -> Iterator[tuple[str, str, Json | None]]:
    """Every digest of bytes in a predicate (bare hex), where it stands, and the list that it is of; roots are none."""
    stack: list[tuple[str, Any]] = list(predicate.items())
    while stack:
        where, value = stack.pop()
        if isinstance(value, dict) and value.keys() == {"digest", "root", "count"}:
            yield digest_at(value, "digest"), where, {"root": digest_at(value, "root"), "count": get(value, "count", int)}
        elif isinstance(value, dict):
            stack += [(f"{where}.{name}", value[name]) for name in value if name not in ("root", "block_root", "record_root")]
        elif isinstance(value, list):
            stack += [(where, item) for item in value]
        elif isinstance(value, str) and re.fullmatch("sha256:[0-9a-f]{64}", value):
            yield value[7:], where, None


# Records ---------------------------------------------------------------------------------------------------------------


def prove_record(file: str, history: History) -> str:
    """Check that a record is the row it says of a shard that a proved statement describes."""
    found = canonical(read_file(file, MAX_RECORD))
    what = "logits" if isinstance(found, dict) and "logits" in found else "record"
    proof = members(found, "proof", what, "row", "rows", "salt", "shard", "v")
    digest, salt, path = digest_at(proof, "shard"), get(proof, "salt", str), strings(proof, "proof")
    sound = get(proof, "v", int) == 1 and is_hex(salt, 32) and all(is_hex(item, 64) for item in path)
    want(sound, "a record proof, version 1, of hex digits", proof)
    shards = {ref: shard for ref, shard in history.shards.items() if shard.file == digest}
    if not shards:
        raise Missing(f"no proved statement is about the shard {digest}")
    leaf = leaf_hash(bytes.fromhex(salt) + (leaf_of_text if what == "record" else leaf_of_logits)(proof[what]))
    row, rows = get(proof, "row", int), get(proof, "rows", int)
    root = root_by_inclusion(row, rows, leaf, [bytes.fromhex(item) for item in path]).hex()
    for ref, shard in shards.items():
        history.check_doubt(shard.seq, shard.signers)
        want(rows == shard.rows, f"a shard of {shard.rows} records, as {ref} says", rows)
        want(root == shard.record_root, f"a path to the record root {shard.record_root} of {ref}", root)
    return f"row {row} of {', '.join(shards)}"


def leaf_of_text(shown: Any) -> bytes:
    """What the leaf of a record of text holds behind the salt."""
    record = members(shown, *CONTENT, *OTHERS)
    content = {name: frame(record[name], kind) for name, kind in CONTENT.items()}
    prompt = None if record["prompt"] is None else hashlib.sha256(b"inbond-prompt-v1\n" + content["prompt"]).hexdigest()
    others = frame(prompt, "text") + b"".join(frame(record[name], kind) for name, kind in OTHERS.items())
    record_id = hashlib.sha256(b"inbond-record-v1\n" + b"".join(content.values())).digest()
    return record_id + hashlib.sha256(others).digest()


def leaf_of_logits(shown: Any) -> bytes:
    """What the leaf of a row of log-probabilities holds behind the salt; blobs are not decoded."""
    row = members(shown, "first_pos", "ids_sha256", "n_pos", "record_id", "streams")
    ids, record_id, streams = get(row, "ids_sha256", str), get(row, "record_id", str), strings(row, "streams")
    want(is_hex(ids, 64) and is_hex(record_id, 64) and len(streams) == 7, "a row of log-probabilities with 7 streams", row)
    values = [b"%d" % get(row, name, int) for name in ("n_pos", "first_pos")]
    values += [bytes.fromhex(ids), *(from_base64(stream, "stream", limit=MAX_RECORD) for stream in streams)]
    framed = b"".join(b"\x01" + len(value).to_bytes(8, "big") + value for value in values)
    return bytes.fromhex(record_id) + hashlib.sha256(framed).digest()


def frame(value: Any, kind: str) -> bytes:
    """A value in the framing of records: 00 for null, else 01 and length and bytes, or 01 and count and values."""
    if value is None:
        return b"\x00"
    if kind in ("text", "number"):
        want(type(value) is (str if kind == "text" else int), f"a {kind}", value)
        data = str(value).encode()
        return b"\x01" + len(data).to_bytes(8, "big") + data
    want(isinstance(value, list) and None not in value, f"a list of {kind}", value)
    if kind == "turns":
        turns = [members(turn, "content", "role") for turn in value]
        parts = [b"\x01" + frame(get(turn, "role", str), "text") + frame(get(turn, "content", str), "text") for turn in turns]
    else:
        parts = [frame(item, kind.removesuffix("s")) for item in value]
    return b"\x01" + len(parts).to_bytes(8, "big") + b"".join(parts)


# Policies, notes, checkpoints ------------------------------------------------------------------------------------------


class Vkey(NamedTuple):
    """A verifier key of signed notes (C2SP signed-note): 0x01 Ed25519, 0x04 Ed25519 cosignature/v1, 0x06 ML-DSA-44."""

    name: str
    type: int
    raw: bytes

    @classmethod
    def parse(cls, text: str) -> "Vkey":
        """The key in a text <name>+<id>+<base64>; Failed unless it is written as `text` writes it."""
        parts = text.split("+", 2)
        want(len(parts) == 3 and is_name(parts[0]), "a verifier key <name>+<id>+<base64>", text)
        data = from_base64(parts[2], "verifier key")
        size = {ED25519: 32, COSIGNATURE_V1: 32, ML_DSA_44: 1312}.get(data[0] if data else 0)
        want(len(data) - 1 == size, f"a key of type 01, 04 or 06 of {parts[0]}", data[:1].hex())
        key = cls(parts[0], data[0], data[1:] if data[0] == ML_DSA_44 else sound_key(data[1:]))
        want(key.text == text, f"the key id {key.id.hex()} for {key.name}", parts[1])
        return key

    @property
    def id(self) -> bytes:
        """Four bytes that name the key, with its name."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.raw).digest()[:4]

    @property
    def text(self) -> str:
        """The one way to write it."""
        return f"{self.name}+{self.id.hex()}+{b64encode(bytes([self.type]) + self.raw).decode()}"

    def signs(self, note: bytes, blob: bytes) -> bool:
        """Whether `blob`, a signature without the key id, is this key's over a note's text; Missing where it cannot be told."""
        if self.type == ED25519:
            return signs(self.raw, blob, note)
        time = int.from_bytes(blob[:8], "big")
        if self.type == COSIGNATURE_V1:
            return len(blob) == 72 and time < 1 << 63 and signs(self.raw, blob[8:], b"cosignature/v1\ntime %d\n%b" % (time, note))
        origin, size, root, rest = note.split(b"\n")
        head = b"".join(bytes([len(name)]) + name + stamp for name, stamp in ((self.name.encode(), blob[:8]), (origin, bytes(8))))
        tree = decimal(size.decode(), "size").to_bytes(8, "big") + from_base64(root.decode(), "root", length=32)
        message = b"subtree/v1\n\0" + head + tree  # the struct cosigned_message of C2SP tlog-cosignature, from leaf 0 on
        return len(blob) == 2428 and time < 1 << 63 and rest == b"" and signs_ml_dsa(self.raw, blob[8:], message)


class Checkpoint(NamedTuple):
    """An accepted head of a log; `signers` are the vkeys of the trusted logs that signed it, `lines` all who did."""

    origin: str
    size: int
    root: bytes
    signers: tuple[str, ...]
    text: bytes
    lines: tuple[tuple[str, bytes, bytes], ...]  # name, key id, signature


Accept = Callable[[bytes], Checkpoint]  # the checkpoint in a signed note; Failed or Missing for one that is not accepted


class Policy:
    """A C2SP tlog-policy; Failed, with the number of the line, for what its format does not allow."""

    def __init__(self, data: bytes) -> None:
        self.logs: list[Vkey] = []
        self.witnesses: dict[str, Vkey] = {}
        self.groups: dict[str, tuple[int, list[str]]] = {}  # threshold and members; after what they name
        self.quorum: str | None = None
        self._free: set[str] = set()  # names that no group has yet
        self.more: Callable[[], list[Vkey]] = list  # finds log keys that came after those of the policy
        self.followed: set[str] = set()  # those that were needed
        self._chain: list[Vkey] | None = None
        for number, line in enumerate(utf8(data, "a policy").split("\n"), 1):
            try:
                want(re.search(r"[\x00-\x08\x0b-\x1f\x7f]", line) is None, "no control characters", repr(line))
                self._read([word for word in re.split("[ \t]+", line) if word])
            except Failed as error:
                raise Failed(f"policy line {number}: {error}") from None
        want(bool(self.logs) and self.quorum is not None, "a policy with a log and one line 'quorum <name>'", "none")
        keys = [*self.logs, *self.witnesses.values()]
        want(len({(key.name, key.id) for key in keys}) == len(set(keys)), "keys of different names or ids", "two alike")

    def _read(self, words: list[str]) -> None:
        names = {"none", *self.witnesses, *self.groups}
        match words:
            case ["log", vkey] | ["log", vkey, _]:
                self._check_key(Vkey.parse(vkey), (ED25519, ML_DSA_44), self.logs)
                self.logs.append(Vkey.parse(vkey))
            case ["witness", name, vkey] | ["witness", name, vkey, _] if name not in names:
                self._check_key(Vkey.parse(vkey), (COSIGNATURE_V1, ML_DSA_44), list(self.witnesses.values()))
                self.witnesses[name] = Vkey.parse(vkey)
                self._free.add(name)
            case ["group", name, threshold, *group] if group and name not in names:
                free = self._free.issuperset(group) and len(set(group)) == len(group)
                want(free, "members named above, each in no group yet", group)
                count = {"any": "1", "all": str(len(group))}.get(threshold, threshold)
                valid = re.fullmatch("[1-9][0-9]{0,5}", count) is not None and int(count) <= len(group)
                want(valid, f"any, all or 1 to {len(group)}", threshold)
                self.groups[name] = int(count), group
                self._free = self._free - set(group) | {name}
            case ["quorum", name] if self.quorum is None and name in names:
                self.quorum = name
            case []:
                pass
            case [first, *_] if first.startswith("#"):
                pass
            case _:
                raise Failed(f"expected log, witness, group or quorum, with new names of things named above, found {words}")

    def _check_key(self, key: Vkey, types: tuple[int, ...], others: list[Vkey]) -> None:
        want(key.type in types and all(key.raw != other.raw for other in others), f"another key, of a type in {types}", key.text)

    def open(self, note: bytes) -> Checkpoint:
        """The checkpoint in a signed note, if a log of this policy signed it and the quorum of witnesses is met.

        Where it is not, the log's keys are followed: those that came after the policy's count as these do.
        """
        try:
            return self._open(note, [])
        except Failed:
            if self._chain is None:
                self._chain = self.more()
            if not self._chain:
                raise
        head = self._open(note, self._chain)
        ours = {key.text for key in (*self.logs, *self.witnesses.values())}
        self.followed |= {f"{key.name}+{key.id.hex()}" for key in self._chain if key.text not in ours}
        return head

    def _open(self, note: bytes, chain: list[Vkey]) -> Checkpoint:
        body, signatures = split_note(note)
        lines = body.decode().split("\n")
        want(len(lines) == 4 and lines[3] == "", "a checkpoint of three lines: origin, size, root", body)
        want(1 <= len(lines[0].encode()) <= 255, "an origin of 1 to 255 bytes", lines[0])
        keys = {(key.name, key.id): key for key in (*chain, *self.logs, *self.witnesses.values())}
        signed, unread = set(), set()
        for name, key_id, blob in signatures:
            key = keys.get((name, key_id))
            if key is not None:
                try:
                    want(key.signs(body, blob), f"a valid signature by {name}", "one that does not verify")
                    signed.add(key)
                except Missing:
                    unread.add(key)
        origin, size, root = lines[0], decimal(lines[1], "size"), from_base64(lines[2], "root", length=32)
        logs = tuple(key.text for key in dict.fromkeys((*self.logs, *chain)) if key in signed and key.name == origin)
        later = {key.name for key in chain if key.type == ML_DSA_44 and key in signed}
        signed |= {key for key in self.witnesses.values() if key.type == ML_DSA_44 and key in chain and key.name in later}
        if not logs and any(key in unread and key.name == origin for key in self.logs):
            raise Missing(f"{origin} signed this checkpoint with ML-DSA only, which this library of Python does not have")
        trusted, found = ", ".join(key.name for key in self.logs), ", ".join(name for name, _, _ in signatures)
        want(bool(logs), f"a checkpoint that a log of the policy signed ({trusted})", f"one of {origin}, signed by {found}")
        if not self._met(signed) and self._met(signed | unread):
            raise Missing(f"the quorum {self.quorum} rests on ML-DSA cosignatures, which this library of Python does not have")
        found = ", ".join(sorted(name for name, key in self.witnesses.items() if key in signed)) or "none"
        want(self._met(signed), f"cosignatures that meet the quorum {self.quorum!r}", found)
        return Checkpoint(origin, size, root, logs, body, tuple(signatures))

    def _met(self, signed: set[Vkey]) -> bool:
        names = {"none"} | {name for name, key in self.witnesses.items() if key in signed}
        for name, (threshold, group) in self.groups.items():
            names.update({name} if len(names.intersection(group)) >= threshold else ())
        return self.quorum in names


def split_note(data: bytes) -> tuple[bytes, list[tuple[str, bytes, bytes]]]:
    """Text and signature lines (name, key id, blob) of a signed note; nothing is verified."""
    utf8(data, "a signed note")
    body, blank, block = data.rpartition(b"\n\n")
    lines = block.decode().split("\n")
    controls = any(byte < 0x20 and byte != 0x0A for byte in data)
    want(bool(blank) and not controls and lines.pop() == "" and 1 <= len(lines) <= 100, "a signed note", data[:60])
    signatures = []
    for line in lines:
        name, space, encoded = line.removeprefix("— ").partition(" ")
        want(line.startswith("— ") and bool(space) and is_name(name), "a line '— <name> <base64>'", line)
        blob = from_base64(encoded, f"signature by {name}", limit=8192)
        want(len(blob) > 4, f"a key id and a signature by {name}", f"{len(blob)} bytes")
        signatures.append((name, blob[:4], blob[4:]))
    return body + b"\n", signatures


def is_name(name: str) -> bool:
    """Whether a key may be called so."""
    return not any(c.isspace() or c < " " or c == "+" for c in name) and 1 <= len(name.encode(errors="replace")) <= 255


# Hashes and trees (RFC 6962) -------------------------------------------------------------------------------------------


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf."""
    digest = hashlib.sha256(b"\x00")
    digest.update(data)
    return digest.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A growing tree that keeps every perfect subtree: levels[k][i] is over the leaves [i·2^k, (i+1)·2^k)."""

    def __init__(self) -> None:
        self.levels: list[list[bytes]] = [[]]

    @property
    def size(self) -> int:
        """The number of leaves."""
        return len(self.levels[0])

    def append(self, leaf: bytes) -> None:
        """Add a leaf by its hash."""
        level = 0
        self.levels[0].append(leaf)
        while len(self.levels[level]) % 2 == 0:
            if level + 1 == len(self.levels):
                self.levels.append([])
            self.levels[level + 1].append(node_hash(*self.levels[level][-2:]))
            level += 1

    def root(self, size: int | None = None) -> bytes:
        """The root over the first `size` leaves: its perfect subtrees, the smallest being the rightmost, folded up."""
        size = self.size if size is None else size
        parts = [self.levels[level][(size >> level) - 1] for level in range(size.bit_length()) if size >> level & 1]
        root = parts[0] if parts else hashlib.sha256(b"").digest()
        for part in parts[1:]:
            root = node_hash(part, root)
        return root


def left_of(size: int) -> int:
    """The number of leaves in the left subtree of a tree of `size` > 1: the largest power of two below."""
    return 1 << ((size - 1).bit_length() - 1)


def root_by_inclusion(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """The root to which an audit path leads from `leaf`: the recursion of RFC 6962 section 2.1.1, read backwards."""
    want(0 <= index < size and (size > 1) == bool(path), f"a path for leaf {index} of {size}", f"{len(path)} more hashes")
    want(all(len(item) == 32 for item in (leaf, *path[-1:])), "hashes of 32 bytes", "another length")
    if size == 1:
        return leaf
    left = left_of(size)
    if index < left:
        return node_hash(root_by_inclusion(index, left, leaf, path[:-1]), path[-1])
    return node_hash(path[-1], root_by_inclusion(index - left, size - left, leaf, path[:-1]))


def check_consistent(old: int, new: int, path: list[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raise Failed unless `path` shows that the tree of size `new` begins with the tree of size `old` (section 2.1.2)."""
    want(0 < old <= new and all(len(item) == 32 for item in path), f"hashes and sizes 0 < {old} <= {new}", "others")

    def roots(old: int, new: int, path: list[bytes], known: bool) -> tuple[bytes, bytes]:
        want(len(path) == (0 if known else 1) if old == new else bool(path), "a path as long as the sizes want", "another")
        if old == new:
            return (old_root, old_root) if known else (path[0], path[0])
        left = left_of(new)
        if old <= left:
            first, second = roots(old, left, path[:-1], known)
            return first, node_hash(second, path[-1])
        first, second = roots(old - left, new - left, path[:-1], False)
        return node_hash(path[-1], first), node_hash(path[-1], second)

    found = roots(old, new, path, True)
    want(found == (old_root, new_root), f"roots {old_root.hex()} and {new_root.hex()}", f"{found[0].hex()} and {found[1].hex()}")


# Files, keys, JSON, texts ----------------------------------------------------------------------------------------------


class Content(NamedTuple):
    """What was measured of a file: bare hex SHA-256, bytes, RFC 6962 root over its blocks ("sha256:…")."""

    digest: str
    size: int
    block_root: str


def measure(file: str) -> Content:
    """Hash a file, whole and by blocks, a block at a time."""
    whole, tree, size = hashlib.sha256(), Tree(), 0
    if not is_file(file):
        raise Missing("it is not a regular file")
    with open(file, "rb") as stream:
        while block := stream.read(BLOCK):
            whole.update(block)
            tree.append(leaf_hash(block))
            size += len(block)
    return Content(whole.hexdigest(), size, f"sha256:{tree.root().hex()}")


def read_file(file: str, limit: int) -> bytes:
    """The bytes of a regular file; Failed for more than `limit`."""
    want(is_file(file) or not os.path.exists(file), "a regular file", file)
    with open(file, "rb") as stream:
        data = stream.read(limit + 1)
    want(len(data) <= limit, f"at most {limit} bytes in {file}", "more")
    return data


def is_file(path: str) -> bool:
    """Whether there is a regular file, reading which cannot block."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def printable(message: str) -> str:
    """`message` in one line of at most 1,000 characters, so that no file name or value can look like a line of ours."""
    return "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in message[:1000])


def public_key(text: str) -> bytes:
    """The raw Ed25519 key in a base64 text."""
    return sound_key(from_base64(text, "public key", length=32))


def sound_key(raw: bytes) -> bytes:
    """`raw`, unless it is no canonical key, or a point of small order, under which anybody can sign anything."""
    y, prime = int.from_bytes(raw, "little") & (1 << 255) - 1, 2**255 - 19
    eighth = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
    want(y < prime and y not in (0, 1, prime - 1, eighth, prime - eighth), "a sound Ed25519 key", raw.hex())
    return raw


def signs(raw: bytes, signature: bytes, data: bytes) -> bool:
    """Whether an Ed25519 signature is good."""
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def signs_ml_dsa(raw: bytes, signature: bytes, data: bytes) -> bool:
    """Whether an ML-DSA-44 signature is good; Missing where the library cannot tell."""
    try:
        if not HAS_ML_DSA:
            raise UnsupportedAlgorithm("ML-DSA-44")
        MLDSA44PublicKey.from_public_bytes(raw).verify(signature, data)
    except UnsupportedAlgorithm:
        raise Missing("a library with ML-DSA-44 is needed") from None
    except (InvalidSignature, ValueError):
        return False
    return True


def canonical(data: bytes) -> Any:
    """Parse RFC 8785 JSON without floats, with integers within ±(2^53-1), ASCII keys, at most 64 deep; Failed for other."""
    try:
        value = json.loads(utf8(data, "JSON"), parse_float=integer, parse_constant=integer, parse_int=integer)
        want(encode(value) == data, "canonical JSON", data[:60])
    except (ValueError, RecursionError) as error:
        raise Failed(f"expected canonical JSON, found {error}") from None
    level, depth = [value], 0
    while boxes := [box for box in level if isinstance(box, dict | list)]:
        depth += 1
        want(depth <= 64, "JSON at most 64 deep", "deeper JSON")
        want(all(name.isascii() for box in boxes if isinstance(box, dict) for name in box), "ASCII keys", "others")
        level = [item for box in boxes for item in (box.values() if isinstance(box, dict) else box)]
    return value


def encode(value: Any) -> bytes:
    """The canonical bytes of a parsed value."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def integer(digits: str) -> int:
    """An integer within ±(2^53-1)."""
    want(re.fullmatch("-?[0-9]{1,16}", digits) is not None and abs(int(digits)) < 1 << 53, "an integer within ±(2^53-1)", digits)
    return int(digits)


def members(value: Any, *names: str) -> Json:
    """`value`, an object with exactly these members."""
    want(isinstance(value, dict) and value.keys() == set(names), f"an object of {', '.join(names)}", value)
    found: Json = value
    return found


def get(value: Any, path: str, kind: type[T]) -> T:
    """What stands at `path` (names joined by dots) in an object: a `kind`, and no subclass of it (true is no number)."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    want(type(value) is kind, f"{path}, a {kind.__name__}", value)
    found: T = value
    return found


def strings(value: Json, path: str) -> list[str]:
    """The list of strings at `path`."""
    found = get(value, path, list)
    want(all(isinstance(item, str) for item in found), f"{path}, a list of strings", found)
    return found


def digest_at(value: Json, path: str) -> str:
    """The hex of the digest sha256:<hex> at `path`."""
    found = get(value, path, str)
    want(found.startswith("sha256:") and is_hex(found[7:], 64), f"{path}, a digest sha256:<64 hex digits>", found)
    return found[7:]


def is_hex(text: str, digits: int) -> bool:
    """Whether `text` is so many lower-case hex digits."""
    return len(text) == digits and re.fullmatch("[0-9a-f]*", text) is not None


def moment(text: str) -> str:
    """An instant as entries write it."""
    try:
        valid = re.fullmatch(r"[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}\.[0-9]{3}Z", text) is not None
        datetime.fromisoformat(text)
    except ValueError:
        valid = False
    want(valid, "a time such as 2026-01-31T23:59:59.000Z", text)
    return text


def utf8(data: bytes, what: str) -> str:
    """`data` as text."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Failed(f"expected {what} in UTF-8, found another byte at {error.start}") from None


def decimal(text: str, what: str) -> int:
    """A number of 0 to 2^63-1 without leading zeros."""
    want(re.fullmatch("0|[1-9][0-9]{0,18}", text) is not None and int(text) < 1 << 63, f"a decimal number as {what}", text)
    return int(text)


def from_base64(text: str, what: str, *, length: int | None = None, limit: int = 1 << 14) -> bytes:
    """The bytes of padded standard base64, written in the one way; Failed for other text and other lengths."""
    want(len(text) <= (limit + 2) // 3 * 4, f"at most {limit} bytes as {what}", f"{len(text)} characters")
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
        same = b64encode(data).decode() == text
    except ValueError:
        data, same = b"", False
    want(same and length in (None, len(data)), f"base64 {'' if length is None else f'of {length} bytes '}as {what}", text)
    return data


if __name__ == "__main__":
    sys.exit(main())
