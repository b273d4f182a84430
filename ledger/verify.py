"""inbond-verify: check what an inbond registry handed out, with this one file, Python 3.11 or later, and `cryptography`.

It shares no code with inbond, on purpose: it is the second opinion. Read it from top to bottom; every rule it applies is
here. It takes two things on trust, both from the command line: a policy (C2SP tlog-policy: whose log, which witnesses)
and the genesis hash (RFC 6962 leaf hash of entry 0, as the operator published it). All else follows from them.

What a line `proved` means
  receipt   A log that the policy accepts signed a checkpoint, with the witnesses that the policy wants; the entry stands
            in it at this index; it is canonical, follows its predecessor (where that is shown) and is not earlier; it
            holds one in-toto statement of a kind known here; every signature on it verifies under a key that was in
            force there, and the kind's role (ROLES below) is among them; key statements have the admins' threshold.
  file      Its bytes are those that a proved statement names; a shard also has the size and the block root stated, a list
            the root and the number of lines stated.
  record    The record is row n of a shard that a proved statement describes. The shard itself is not needed for it.
  log       The same for every entry of the log, in order, without a gap: chain, tree, tiles, times, signatures, roles.

What nothing here proves
  That a statement is true, or that everything that happened was stated. That the operator shows others the same log: only
  witnesses in the policy, or comparing checkpoints, show it. The operator's clock. That bodies have all fields of their
  kind, and that the registry's own rules were kept (ownership, terms, existence of what is named): `inbond log audit`
  does. From receipts alone: that none of the entries left out revokes a key or closes a run; a full log shows it.
  Whatever cannot be decided is `missing`, never proved. ML-DSA signatures are not read yet, and count as missing.

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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

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
SUBJECTS: dict[str, tuple[str, ...]] = {
    "shard": ("file",), "dataset": ("parts", "digest"), "grant": ("parts", "digest"), "release": ("weights",),
    "recall": ("targets", "digest"), "erasure": ("targets", "digest"), "report": ("model",),
}  # fmt: skip

# The columns of a record, in framing order: what its id is over, and what else its leaf is over (after the prompt's id).
CONTENT = {
    "prompt": "turns", "own_turns": "numbers", "response": "text", "reasoning": "text", "extra": "text", "refs": "texts",
    "label": "text",
}  # fmt: skip
OTHERS = {
    "sample": "number", "kind": "text", "input_ids": "numbers", "finish_reason": "text", "request_id": "text",
    "requested_model": "text", "served_model": "text", "sampling": "text", "subject_refs": "texts", "created_at": "number",
    "prompt_tokens": "number", "response_tokens": "number",
}  # fmt: skip

MAX_ENTRY, MAX_PAYLOAD, MAX_RECEIPT, MAX_LINE, MAX_RECORD = 65_535, 48_000, 1 << 20, 1 << 20, 1 << 27  # bytes
BLOCK = 65_536
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
REQUEST_TYPE = "application/vnd.inbond.request+json"
ED25519, COSIGNATURE_V1, ML_DSA_44 = 0x01, 0x04, 0x06
HEX_32, HEX_ID, DIGEST = (re.compile(text) for text in ("[0-9a-f]{64}", "[0-9a-f]{32}", "sha256:[0-9a-f]{64}"))

T = TypeVar("T")


class Failed(Exception):
    """Something is not what it should be; the message says what was expected and what was found."""


class Missing(Exception):
    """Something can be neither proved nor disproved with what is at hand."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns its exit code."""
    parser = argparse.ArgumentParser(prog="inbond-verify", description="Check an evidence bundle, a log or a receipt, offline.")
    parser.add_argument("--policy", required=True, help="tlog-policy file: the logs and witnesses that you trust")
    parser.add_argument("--genesis", required=True, metavar="HASH", help="leaf hash of entry 0, 64 hex digits, as published")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end instead of lines")
    parser.add_argument("--file", action="append", default=[], metavar="FILE", help="a file that the bundle should speak of")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a bundle, an exported log, or a .tlog-proof file")
    options = parser.parse_args(argv)
    report = Report(quiet=options.json)
    try:
        want(HEX_32.fullmatch(options.genesis) is not None, "--genesis with 64 lower-case hex digits", repr(options.genesis))
        for path in (*options.paths, *options.file):
            want(os.path.exists(path), "a file or folder that exists", f"none at {path}")
        policy = read_policy(read_file(options.policy, 1 << 20))
        bundle = gather(options.paths, report)
    except (Failed, OSError) as error:
        parser.error(printable(f"{error}"))
    try:
        verify(policy, bytes.fromhex(options.genesis), bundle, options.file, report)
        report.finish()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our lines has gone: what follows would be lost, so it is no success
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        print(printable(f"inbond-verify: a defect of this program, nothing is proved: {error!r}"), file=sys.stderr)
        return 1
    return report.exit_code


@dataclass
class Report:
    """The lines, one a thing checked, and the verdict that follows from them."""

    quiet: bool = False
    lines: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, status: str, what: str, text: str) -> None:
        """Add a line; `status` is proved, missing, FAILED, or noted (which says something and decides nothing)."""
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
        names = ("proved", "missing", "FAILED", "noted")
        counts = {name: sum(status == name for status, _, _ in self.lines) for name in names}
        if self.quiet:
            checks = [{"status": status, "what": what, "text": text} for status, what, text in self.lines]
            self._print(json.dumps({"verdict": verdict, "counts": counts, "checks": checks}, indent=1))
        else:
            self._print(f"{verdict} · " + " · ".join(f"{count} {name}" for name, count in counts.items()))

    def _print(self, line: str) -> None:
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        print(line.encode(encoding, "backslashreplace").decode(encoding))


# What is checked, in order ---------------------------------------------------------------------------------------------


@dataclass
class Bundle:
    """The files to check, by what they are taken for."""

    receipts: list[str] = field(default_factory=list)
    shards: list[str] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    records: list[str] = field(default_factory=list)
    consistency: list[str] = field(default_factory=list)  # <old size>-<new size>: base64 hashes, one a line (RFC 6962 2.1.2)
    log: str | None = None


def gather(paths: list[str], report: Report) -> Bundle:
    """Sort the files of all paths; what is no part of a bundle is noted, so that nobody takes it for checked."""
    bundle = Bundle()
    kinds = {"receipts": bundle.receipts, "shards": bundle.shards, "objects": bundle.objects, "records": bundle.records,
             "consistency": bundle.consistency}  # fmt: skip
    for path in paths:
        if not os.path.isdir(path):
            want(is_file(path), "a folder or a regular file", path)
            bundle.receipts.append(path)
            continue
        inner = os.path.join(path, "log")
        folders = [folder for folder in (path, inner) if is_file(os.path.join(folder, "checkpoint"))]
        for folder in folders:
            want(bundle.log is None, "at most one full log", f"{bundle.log} and {folder}")
            bundle.log = folder
        for name in sorted(os.listdir(path)):
            entry = os.path.join(path, name)
            if name in kinds and os.path.isdir(entry):
                for file in (os.path.join(entry, item) for item in sorted(os.listdir(entry))):
                    kinds[name].append(file) if is_file(file) else report.add("noted", file, "not a regular file, not looked at")
            elif not (path in folders and name in ("checkpoint", "tile")) and not (inner in folders and name == "log"):
                report.add("noted", entry, "not part of a bundle, not looked at")
    return bundle


def verify(policy: "Policy", genesis: bytes, bundle: Bundle, files: list[str], report: Report) -> None:
    """Check everything in `bundle` and each of `files`, in the order in which one thing rests on another."""
    contents = {file: report.attempt(file, partial(measure, file)) for file in (*bundle.shards, *bundle.objects, *files)}
    opened = [report.attempt(file, partial(open_receipt, file, policy)) for file in bundle.receipts]
    receipts = sorted((receipt for receipt in opened if receipt is not None), key=lambda receipt: receipt.index)
    log = None
    if bundle.log is not None:
        folder = bundle.log
        log = report.attempt(os.path.join(folder, "checkpoint"), lambda: open_log(folder, policy, report))
    history = History(genesis, complete=log is not None and log.has_entries)
    wanted = {content.digest for content in contents.values() if content is not None}
    if log is not None and log.has_entries:
        indexes = {receipt.index for receipt in receipts}
        report.check(log.folder, lambda: replay(log, history, indexes, wanted))
    roots: dict[int, bytes] = {} if log is None else {log.checkpoint.size: log.checkpoint.root}
    standing = [report.attempt(receipt.file, partial(place, receipt, history, roots, log)) for receipt in receipts]
    shown = []
    for receipt, statement in zip(receipts, standing, strict=True):
        if statement is not None and report.check(receipt.file, partial(conclude, receipt, statement, history)):
            shown.append(statement)
    check_consistency(bundle.consistency, roots, log, report)
    if receipts and not history.complete and not history.all_of(max(roots)):
        text = f"{len(history.stood)} of {max(roots)} entries; that no other revokes a key or closes a run, a full log would show"
        report.add("noted", "receipts", text)
    whole: set[str] = set()
    for file, content in contents.items():
        if content is not None and report.check(file, partial(prove_file, file, content, file in files, bundle, history)):
            whole.add(content.digest)
    for file in bundle.records:
        report.check(file, partial(prove_record, file, history))
    by_digest = {content.digest: file for file, content in contents.items() if content is not None}
    for statement in shown:
        check_content(statement, history, whole, by_digest, report)
    if not report.lines:
        report.add("missing", "bundle", "there is nothing to check: expected receipts, or a log with its checkpoint")


def place(receipt: "Receipt", history: "History", roots: dict[int, bytes], log: "Log | None") -> "Statement":
    """The statement of a receipt at its place among the others; Missing where its entry or genesis is not at hand."""
    size, root = receipt.checkpoint.size, receipt.checkpoint.root
    if log is not None and size <= log.tree.size:
        want(log.tree.root(size) == root, f"the root {log.tree.root(size).hex()} that the log has at size {size}", root.hex())
    elif roots.setdefault(size, root) != root:
        raise Failed(f"expected the root {roots[size].hex()} that another checkpoint of size {size} has, found {root.hex()}: a fork")
    roots.setdefault(size, root)
    if history.complete:
        if receipt.index not in history.stood:
            raise Missing(f"entry {receipt.index} was not proved in the full log")
        return history.stood[receipt.index]
    if receipt.entry is None:
        raise Missing(f"the receipt holds no entry bytes: what entry {receipt.index} says cannot be checked")
    if receipt.index not in history.stood:
        return history.stand(receipt.index, receipt.entry)
    found, expected = leaf_hash(receipt.entry).hex(), history.stood[receipt.index].leaf.hex()
    want(found == expected, f"the leaf hash {expected} that another receipt of entry {receipt.index} has", found)
    return history.stood[receipt.index]


def conclude(receipt: "Receipt", statement: "Statement", history: "History") -> str:
    """What a receipt proves, now that all keys are known."""
    history.check_log_key(receipt.checkpoint)
    for keyid in statement.signers:
        key = history.keys.get(keyid)
        if key is not None and key.suspect is not None and statement.seq >= key.suspect:
            raise Missing(f"key {keyid[:16]} was revoked by entry {key.revoked} as suspect from entry {key.suspect} on")
    return f"entry {statement.seq} of {receipt.checkpoint.size}, {statement.ref}, signed by {statement.by}"


def check_consistency(files: list[str], roots: dict[int, bytes], log: "Log | None", report: Report) -> None:
    """Report each checkpoint that is not shown to be a prefix of the newest one: receipts could be of two histories."""
    steps: list[tuple[int, int]] = []
    for file in files:
        report.check(file, partial(prove_consistency, file, roots, steps))
    linked = {max(roots, default=0)}
    for old, new in sorted(steps, key=lambda step: -step[1]):
        if new in linked:
            linked.add(old)
    if log is not None and log.tree.size in linked:
        linked.update(size for size in roots if size <= log.tree.size)
    for size in sorted(roots.keys() - linked):
        text = f"that size {size} is a prefix of size {max(roots)} is not shown; receipts under one checkpoint would do"
        report.add("missing", "checkpoints", text)


def prove_consistency(file: str, roots: dict[int, bytes], steps: list[tuple[int, int]]) -> str:
    """Check one consistency proof, and add its two sizes to `steps`."""
    name = re.fullmatch("([1-9][0-9]{0,18})-([1-9][0-9]{0,18})", os.path.basename(file))
    lines = read_file(file, 1 << 14).decode("latin-1").split("\n")
    if name is None or lines.pop():
        raise Failed("expected a file <old size>-<new size> of lines of base64, found another name or form")
    old, new = int(name[1]), int(name[2])
    if old not in roots or new not in roots:
        raise Missing(f"no checkpoint of size {old if old not in roots else new} is in the bundle")
    check_consistent(old, new, [from_base64(line, "proof line", length=32) for line in lines], roots[old], roots[new])
    steps.append((old, new))
    return f"the log of size {new} extends the log of size {old}"


def prove_file(file: str, content: "Content", any_name: bool, bundle: Bundle, history: "History") -> str:
    """Check a file's bytes against its name and every statement that names them."""
    name = os.path.basename(file)
    if not any_name:
        suffix = ".parquet" if file in bundle.shards else ""
        digest = name.removesuffix(suffix)
        want(HEX_32.fullmatch(digest) is not None and name == digest + suffix, f"a name of 64 hex digits and {suffix!r}", name)
        want(content.digest == digest, f"bytes with the SHA-256 {digest}", f"{content.digest} over {content.size} bytes")
    uses = history.uses.get(content.digest, [])
    if file in bundle.shards:
        uses = [use for use in uses if (use.statement.kind, use.where) == ("shard", "body.file")]
    if not uses:
        raise Missing(f"no proved statement names bytes with the SHA-256 {content.digest}")
    for use in uses:
        if use.listed is not None:
            check_list(file, use.listed)
        elif (use.statement.kind, use.where) == ("shard", "body.file"):
            body = use.statement.body
            want(content.size == number(body, "size"), f"{body['size']} bytes as {use.statement.ref} says", str(content.size))
            found = f"sha256:{content.block_root.hex()}"
            want(found == body.get("block_root"), f"block root {body.get('block_root')!r} as {use.statement.ref} says", found)
    return f"{content.size} bytes, " + ", ".join(sorted({f"{use.where} of {use.statement.ref}" for use in uses})[:4])


def check_list(file: str, listed: dict[str, Any]) -> None:
    """Check the lines of a list object: digest, number, root, and that each is canonical JSON."""
    whole, tree = hashlib.sha256(), Tree()
    for line in lines_of(file):
        whole.update(line)
        tree.append(leaf_hash(line[:-1]))
    want(f"sha256:{whole.hexdigest()}" == listed["digest"], f"a list with digest {listed['digest']!r}", whole.hexdigest())
    want(tree.size == listed["count"], f"{listed['count']!r} lines", str(tree.size))
    want(f"sha256:{tree.root().hex()}" == listed["root"], f"root {listed['root']!r} over the lines", tree.root().hex())
    for line in lines_of(file):
        canonical(line[:-1])


def lines_of(file: str) -> Iterator[bytes]:
    """The lines of a file, with their newlines; Failed for one that is too long or has none."""
    with open(file, "rb") as stream:
        while line := stream.readline(MAX_LINE + 1):
            want(line.endswith(b"\n"), f"lines of at most {MAX_LINE} bytes that end in a newline", "another line")
            yield line


def check_content(statement: "Statement", history: "History", whole: set[str], files: dict[str, str], report: Report) -> None:
    """Report content that a shown shard or dataset speaks of and that is not in the bundle; note the others'."""
    path = SUBJECTS.get(statement.kind)
    if path is None:
        return
    digest = text(inside(statement.body, *path[:-1]), path[-1]).removeprefix("sha256:")
    empty = digest == hashlib.sha256().hexdigest()
    if digest not in whole and not empty and digest not in files:  # else it has a line of its own
        needed = statement.kind in ("shard", "dataset")
        report.add("missing" if needed else "noted", statement.ref, f"its object {'.'.join(path)}, {digest}, is not in the bundle")
    if statement.kind == "dataset" and digest in whole:
        parts = {text(canonical(line[:-1]), "shard") for line in lines_of(files[digest])}
        for part in sorted(part for part in parts if not history.has_shard(part)):
            report.add("missing", statement.ref, f"the statement of {part}, a part of it, is not in the bundle")
        for part in sorted(part for part in parts if history.has_shard(part)):
            file = history.shards[part].file
            if file not in whole and file not in files:
                report.add("missing", statement.ref, f"the file of {part}, a part of it, {file}, is not in the bundle")


# Receipts and logs -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Receipt:
    """A tlog-proof whose checkpoint is accepted and whose entry, where it has one, is included."""

    file: str
    index: int
    checkpoint: "Checkpoint"
    entry: bytes | None


def open_receipt(file: str, policy: "Policy") -> Receipt:
    """Read and check a C2SP tlog-proof: accepted checkpoint, and inclusion of the entry that is its `extra`."""
    head, blank, note = read_file(file, MAX_RECEIPT).partition(b"\n\n")
    lines = head.decode("latin-1").split("\n")
    want(bool(blank) and lines.pop(0) == "c2sp.org/tlog-proof@v1", "the line c2sp.org/tlog-proof@v1", repr(head[:30]))
    extra = from_base64(lines.pop(0)[6:], "extra", limit=MAX_ENTRY) if lines and lines[0].startswith("extra ") else None
    want(bool(lines) and lines[0].startswith("index "), "a line 'index <number>'", repr("".join(lines[:1])[:40]))
    index = decimal(lines.pop(0)[6:], "index")
    want(len(lines) <= 63, "at most 63 hashes", str(len(lines)))
    path = [from_base64(line, "proof line", length=32) for line in lines]
    if os.path.basename(os.path.dirname(os.path.abspath(file))) == "receipts":
        want(os.path.basename(file) == f"{index}.tlog-proof", f"the receipt of the entry that names the file {os.path.basename(file)}",
             f"that of entry {index}")  # fmt: skip
    checkpoint = policy.open(note)
    if extra is not None:
        found = root_by_inclusion(index, checkpoint.size, leaf_hash(extra), path)
        want(found == checkpoint.root, f"a proof that leads to the root {checkpoint.root.hex()}", found.hex())
    return Receipt(file, index, checkpoint, extra)


@dataclass(frozen=True)
class Log:
    """A full export (C2SP tlog-tiles) whose hashes lead to the root of its checkpoint."""

    folder: str
    checkpoint: "Checkpoint"
    tree: "Tree"
    has_entries: bool


def open_log(folder: str, policy: "Policy", report: Report) -> Log:
    """Accept the checkpoint, find the leaf hashes that it commits to, and compare every tile and bundle with them."""
    checkpoint = policy.open(read_file(os.path.join(folder, "checkpoint"), MAX_RECEIPT))
    size, root = checkpoint.size, checkpoint.root
    has_entries = os.path.isdir(os.path.join(folder, "tile", "entries"))
    trees = {}
    for source in ("entries", 0) if has_entries else (0,):  # bundles and lowest tiles each give the tree: one may be altered
        try:
            trees[source] = tree_from(folder, source, size)
        except (Failed, Missing, OSError) as error:
            report.attempt(os.path.join(folder, "tile", str(source)), partial(again, error))
            has_entries = has_entries and source != "entries"
    tree = next((tree for tree in trees.values() if tree.root() == root), None)
    if tree is None:
        found = " and ".join(tree.root().hex() for tree in trees.values()) or "none"
        raise Failed(f"expected entries and tiles with the root {root.hex()} of size {size}, found {found}")
    sound = compare_tiles(folder, tree, report)
    return Log(folder, checkpoint, tree, has_entries and sound)


def again(error: Exception) -> None:
    """Raise an error that was kept."""
    raise error


def tree_from(folder: str, source: str | int, size: int) -> "Tree":
    """The tree of `size` leaves over entry bundles or over the tiles of level 0."""
    tree = Tree()
    for n in range(-(-size // 256)):
        width = min(256, size - 256 * n)
        names = [os.path.join(folder, tile_name(source, n, w)) for w in (width, 256)]  # a full tile may stand for a partial one
        file = next((name for name in names if is_file(name)), None)
        if file is None:
            raise Missing(f"{names[0]} is not there")
        for leaf in leaves_in(file, source)[:width]:
            tree.append(leaf)
    want(tree.size == size, f"{size} leaves", str(tree.size))
    return tree


def leaves_in(file: str, source: str | int) -> list[bytes]:
    """The hashes in a tile, or the leaf hashes of the entries in a bundle."""
    if source == "entries":
        return [leaf_hash(entry) for entry in entries_in(file)]
    data = read_file(file, 8192)
    want(len(data) % 32 == 0, f"hashes of 32 bytes in {file}", f"{len(data)} bytes")
    return [data[at : at + 32] for at in range(0, len(data), 32)]


def entries_in(file: str) -> list[bytes]:
    """The entries of a bundle: each after its length in two bytes, big-endian."""
    data, entries, at = read_file(file, 256 * (MAX_ENTRY + 2)), [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        want(at + 2 <= len(data) and end <= len(data), f"{end - at} bytes at byte {at} of {file}", str(len(data) - at))
        entries.append(data[at + 2 : end])
        at = end
    return entries


def compare_tiles(folder: str, tree: "Tree", report: Report) -> bool:
    """Compare every file under tile/ with `tree`, and see that none is lacking; whether all that are there are right."""
    top, seen, sound = os.path.join(folder, "tile"), set(), True
    for where, _, names in sorted(os.walk(top)):
        for file in (os.path.join(where, name) for name in sorted(names)):
            name = "/".join(os.path.relpath(file, folder).split(os.sep))
            tile = parse_tile(name)
            level = 0 if tile is None or tile[0] == "entries" else int(tile[0])
            if tile is None or (tile[1] * 256 + tile[2]) << (8 * level) > tree.size or not is_file(file):
                report.add("noted", file, "no tile of a log of this size, not looked at")
                continue
            seen.add(name)
            expected = tree.levels[8 * level][tile[1] * 256 : tile[1] * 256 + tile[2]]
            sound &= report.attempt(file, partial(same_leaves, file, tile[0], expected)) is not None
    for level in range(0, tree.size.bit_length(), 8):
        hashes = tree.size >> level
        for n in range(-(-hashes // 256)):
            for source in ("entries", 0) if level == 0 and os.path.isdir(os.path.join(top, "entries")) else (level // 8,):
                if not {tile_name(source, n, min(256, hashes - 256 * n)), tile_name(source, n, 256)} & seen:
                    report.add("missing", os.path.join(folder, tile_name(source, n, min(256, hashes - 256 * n))), "it is not there")
    return sound


def same_leaves(file: str, source: str | int, expected: list[bytes]) -> bool:
    """Raise Failed, naming the first one, unless a tile or bundle holds the expected hashes; else True."""
    found = leaves_in(file, source)
    want(len(found) == len(expected), f"{len(expected)} entries or hashes", str(len(found)))
    for at, (a, b) in enumerate(zip(expected, found, strict=True)):
        want(a == b, f"hash {a.hex()} at place {at}, which the checkpoint commits to", b.hex())
    return True


def replay(log: Log, history: "History", indexes: set[int], wanted: set[str]) -> str:
    """Let every entry of a full log stand, in order; keep the statements at `indexes` and those that name `wanted`."""
    signatures = 0
    for n in range(-(-log.tree.size // 256)):
        names = [os.path.join(log.folder, tile_name("entries", n, w)) for w in (min(256, log.tree.size - 256 * n), 256)]
        for at, data in enumerate(entries_in(next(filter(is_file, names)))[: log.tree.size - 256 * n]):
            seq = 256 * n + at
            want(leaf_hash(data) == log.tree.levels[0][seq], f"entry {seq} as it was a moment ago", "other bytes")
            try:
                statement = history.stand(seq, data, log.tree)
            except (Failed, Missing) as error:
                raise type(error)(f"entry {seq}: {error}") from None
            signatures += len(statement.signers)
            history.forget_unless(statement, seq in indexes, wanted)
    history.check_log_key(log.checkpoint)
    return f"all {log.tree.size} entries of {log.checkpoint.origin}: chain, tree, tiles, times, roles and {signatures} signatures"


def tile_name(source: str | int, n: int, width: int) -> str:
    """The path of a tile of hashes (source: its level) or of an entry bundle (source: "entries")."""
    digits = str(n).zfill(-(-len(str(n)) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    return "/".join(["tile", str(source), *("x" + group for group in groups[:-1]), groups[-1]]) + (f".p/{width}" if width < 256 else "")


def parse_tile(name: str) -> tuple[str | int, int, int] | None:
    """Source, number and width of the tile with this path; None where `tile_name` would not write it so."""
    match = re.fullmatch(r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([0-9]{1,3}))?", name)
    if match is None:
        return None
    source = match[1] if match[1] == "entries" else int(match[1])
    tile = (source, int(re.sub("[x/]", "", match[2])), int(match[3] or 256))
    return tile if tile[2] > 0 and tile_name(*tile) == name else None


# The history that entries tell -----------------------------------------------------------------------------------------


@dataclass
class Key:
    """A public key, what it may sign as, and when it ends."""

    raw: bytes
    roles: frozenset[str]
    not_after: str | None = None
    revoked: int | None = None
    suspect: int | None = None


@dataclass
class Run:
    """A run's key, and the entry that closed the run."""

    key: Key
    closed: int | None = None


@dataclass(frozen=True)
class Shard:
    """What a shard statement measured."""

    file: str
    record_root: str
    rows: int


@dataclass
class Statement:
    """A statement at its place, its signatures checked. `by` says who signed, for people."""

    seq: int
    leaf: bytes
    kind: str
    ref: str
    predicate: dict[str, Any]
    signers: list[str]
    by: str

    @property
    def body(self) -> dict[str, Any]:
        """What the kind says."""
        return inside(self.predicate, "body")


@dataclass(frozen=True)
class Use:
    """A place where a statement names bytes; `listed` is digest, root and count of a list."""

    statement: Statement
    where: str
    listed: dict[str, Any] | None


class History:
    """A fold over entries, in order: which keys are in force, which runs are open, what was said. `complete`: no gaps."""

    def __init__(self, genesis: bytes, complete: bool) -> None:
        self.genesis, self.complete = genesis, complete
        self.origin: str | None = None
        self.threshold = 1
        self.keys: dict[str, Key] = {}
        self.log_keys: dict[str, int | None] = {}  # vkey → the entry that revoked it
        self.runs: dict[str, Run] = {}
        self.shards: dict[str, Shard] = {}
        self.stood: dict[int, Statement] = {}
        self.uses: dict[str, list[Use]] = {}
        self._ids: set[str] = set()
        self._signed: set[str] = set()
        self._last = (-1, bytes(32))
        self._time = ""

    def stand(self, seq: int, data: bytes, tree: "Tree | None" = None) -> Statement:
        """Check the entry `data`, whose place `seq` is proved, against all before it, and take it in."""
        entry = members(canonical(data), "dsse", "kind", "prev", "seq", "time", "v")
        want(len(data) <= MAX_ENTRY and number(entry, "v") == 1, "an entry of version 1", f"version {entry['v']!r}")
        want(number(entry, "seq") == seq, f"seq {seq}", str(entry["seq"]))
        leaf, (last_seq, last_leaf) = leaf_hash(data), self._last
        want(seq != 0 or leaf == self.genesis, f"genesis with the leaf hash {self.genesis.hex()}", leaf.hex())
        self._last = (seq, leaf)
        prev, kind, time = text(entry, "prev"), text(entry, "kind"), moment(text(entry, "time"))
        want(last_seq != seq - 1 or prev == last_leaf.hex(), f"prev {last_leaf.hex()}, the leaf hash of the entry before", repr(prev))
        want(time >= self._time, f"a time of {self._time} or later", time)
        self._time = time
        envelope = members(entry["dsse"], "payload", "payloadType", "signatures")
        payload = from_base64(text(envelope, "payload"), "payload", limit=MAX_PAYLOAD)
        wire = members(canonical(payload), "_type", "predicate", "predicateType", "subject")
        types, expected = (wire["_type"], wire["predicateType"]), (STATEMENT_TYPE, f"urn:inbond:{kind}:v1")
        want(types == expected, f"an in-toto statement {expected}", repr(types))
        predicate = members(wire["predicate"], "body", "header")
        body, header = inside(predicate, "body"), inside(predicate, "header")
        subject = hashlib.sha256(encode(predicate)).hexdigest()
        if kind in SUBJECTS:
            subject = digest_in(inside(body, *SUBJECTS[kind][:-1]), SUBJECTS[kind][-1])
        only = [{"digest": {"sha256": subject}, "name": kind}]
        want(wire["subject"] == only, f"one subject, {kind} {subject}", repr(wire["subject"]))
        identity, origin = text(header, "id"), text(header, "registry")
        if seq == 0:
            want(kind == "genesis" and body.get("origin") == origin, f"genesis of {origin}", f"{kind} of {body.get('origin')!r}")
        elif self.origin is None:
            raise Missing("genesis, from which the keys follow, was not proved")
        else:
            want(origin == self.origin, f"registry {self.origin}", repr(origin))
        want(HEX_ID.fullmatch(identity) is not None and identity not in self._ids, "a header id of its own", repr(identity))
        signers = self._signers(seq, time, kind, identity, body, envelope, payload)
        self._check_seen(header, seq, signers.keys(), tree)
        self._check_roles(seq, kind, body, header, signers)
        by = ", ".join(f"{'/'.join(sorted(key.roles)) or 'itself'} {keyid[:16]}" for keyid, key in signers.items())
        statement = Statement(seq, leaf, kind, f"{kind}:{identity}", predicate, list(signers), by)
        self._ids.add(identity)
        self._signed.update(signers)
        self._take(statement, body, origin, signers)
        self.stood[seq] = statement
        for digest, where, listed in names_in(predicate):
            self.uses.setdefault(digest, []).append(Use(statement, where, listed))
        return statement

    def unknown(self, what: str) -> Exception:
        """What to raise where `what` is not among the entries: with all of them at hand it does not exist."""
        return Failed(f"expected {what} before this entry, found none") if self.complete else Missing(f"{what} is not in the bundle")

    def check_log_key(self, checkpoint: "Checkpoint") -> None:
        """Raise unless a key that genesis or a key statement made a log key signed the checkpoint."""
        ends = [self.log_keys[vkey] for vkey in checkpoint.signers if vkey in self.log_keys]
        if not ends:
            raise self.unknown(f"a statement that makes {checkpoint.signers[0]} a log key")
        if all(end is not None and checkpoint.size > end for end in ends):
            raise Missing("the checkpoint is signed by log keys that were revoked before; this program cannot judge it")

    def has_shard(self, ref: str) -> bool:
        """Whether the statement that made this shard is proved."""
        return ref in self.shards

    def all_of(self, size: int) -> bool:
        """Whether every entry of a log of `size` entries stands."""
        return len(self.stood) == size

    def forget_unless(self, statement: Statement, asked: bool, wanted: set[str]) -> None:
        """Drop the text of a statement that no receipt and no file asks for, to bound memory over a long log."""
        used = False
        for digest, _, _ in names_in(statement.predicate):
            if digest in wanted:
                used = True
            else:
                self.uses.pop(digest, None)
        if not (asked or used):
            del self.stood[statement.seq]

    def _signers(
        self, seq: int, time: str, kind: str, identity: str, body: dict[str, Any], envelope: dict[str, Any], payload: bytes
    ) -> dict[str, Key]:
        """The keys that signed, by id, each signature checked; the keys that a statement may bring itself included."""
        own: dict[str, Key] = {}
        if kind == "genesis":
            for role, raws in (("admin", items(body, "admins")), ("registry", [body.get("registry_key")])):
                for raw in map(public_key, raws):
                    known = own.get(fingerprint(raw), Key(raw, frozenset()))
                    own[fingerprint(raw)] = Key(raw, known.roles | {role})
        elif kind == "key" and "public_key" in body and "revocation" not in body:
            own[fingerprint(public_key(body["public_key"]))] = Key(public_key(body["public_key"]), frozenset())
        elif kind == "run" and body.get("phase") == "open":
            own[fingerprint(public_key(body.get("run_key")))] = Key(public_key(body.get("run_key")), frozenset({"run"}))
        elif kind in ("consume", "grant"):
            run = self.runs.get(text(body, "run"))
            if run is None:
                raise self.unknown(f"the opening of {body['run']}")
            want(run.closed is None, "a run that is open", f"{body['run']} closed by entry {run.closed}")
            if kind == "consume":
                own[fingerprint(run.key.raw)] = run.key
            else:
                self._check_request(body, run.key)
        return check_signatures(envelope, payload, PAYLOAD_TYPE, lambda keyid: self._key_in_force(keyid, time) or own.get(keyid), self)

    def _key_in_force(self, keyid: str, time: str) -> Key | None:
        key = self.keys.get(keyid)
        if key is not None:
            want(key.revoked is None, f"key {keyid[:16]} in force", f"it was revoked by entry {key.revoked}")
            expired = key.not_after is not None and time[: len(key.not_after)] > key.not_after
            want(not expired, f"key {keyid[:16]} in force at {time}", f"it expired at {key.not_after}")
        return key

    def _check_request(self, body: dict[str, Any], key: Key) -> None:
        """Check the request inside a grant: the run's key signed it, and it asks for what was granted."""
        envelope = members(body.get("request"), "payload", "payloadType", "signatures")
        payload = from_base64(text(envelope, "payload"), "request payload", limit=MAX_PAYLOAD)
        check_signatures(envelope, payload, REQUEST_TYPE, {fingerprint(key.raw): key}.get, self)
        request = members(canonical(payload), "registry", "id", "run", "columns", "mode", "parts")
        for name in ("run", "columns", "mode", "parts"):
            want(request[name] == body.get(name), f"a grant of what was requested, {name} {request[name]!r}", repr(body.get(name)))
        want(request["registry"] == self.origin, f"a request to {self.origin}", repr(request["registry"]))

    def _check_seen(self, header: dict[str, Any], seq: int, signers: Any, tree: "Tree | None") -> None:
        """A signer has seen this history, and no other one."""
        if header.get("seen", 0) is None:
            new = seq == 0 or bool(signers - self._signed)
            want(new or not self.complete, "a size and root in header.seen, as no key signs for the first time", "null")
            return
        seen = members(header.get("seen"), "size", "root")
        size, root = number(seen, "size"), digest_in(seen, "root")
        want(0 < size <= seq, f"header.seen of a size from 1 to {seq}", str(size))
        if tree is not None:
            want(tree.root(size).hex() == root, f"header.seen with root {tree.root(size).hex()} at size {size}", root)

    def _check_roles(self, seq: int, kind: str, body: dict[str, Any], header: dict[str, Any], signers: dict[str, Key]) -> None:
        """The signatures that the kind needs are among `signers`."""
        allowed = ROLES.get(kind) or ROLES.get(f"{kind}.{body.get('phase')}")
        if allowed is None:
            raise Missing(f"statements {kind}, phase {body.get('phase')!r}, are of a kind that this program does not know")
        found = ", ".join(sorted({role for key in signers.values() for role in key.roles})) or "no role"
        admins = {keyid for keyid, key in signers.items() if "admin" in key.roles}
        if kind == "genesis":
            wanted = {fingerprint(public_key(raw)) for raw in items(body, "admins")}
            want(seq == 0 and signers.keys() == wanted, f"entry 0, signed by its {len(wanted)} admins", f"entry {seq}, {len(signers)}")
            want(1 <= number(body, "threshold") <= len(wanted), f"a threshold of 1 to {len(wanted)}", str(body["threshold"]))
        elif kind == "key":
            want(len(admins) >= self.threshold, f"signatures of {self.threshold} admins in force", str(len(admins)))
            self._check_key(body, signers)
        else:
            fit = any(key.roles & allowed for key in signers.values())
            want(fit, f"a signature in the role {' or '.join(sorted(allowed))}", f"one as {found}")
            if (kind, body.get("phase")) == ("run", "open"):
                own = fingerprint(public_key(body.get("run_key")))
                want(own in signers, f"a signature of the run's key {own[:16]}", "none")

    def _check_key(self, body: dict[str, Any], signers: dict[str, Key]) -> None:
        keyid, known = text(body, "fingerprint"), self.keys.get(text(body, "fingerprint"))
        want(("public_key" in body) != ("vkey" in body), "either public_key or vkey", "both or none")
        raw = public_key(body["public_key"]) if "public_key" in body else parse_vkey(text(body, "vkey")).raw
        want(fingerprint(raw) == keyid, f"the fingerprint {fingerprint(raw)} of the key", repr(keyid))
        if "revocation" in body:
            if known is None and keyid not in {fingerprint(parse_vkey(vkey).raw) for vkey in self.log_keys}:
                raise self.unknown(f"the enrolment of key {keyid[:16]}")
        elif "public_key" in body:
            want(keyid in signers, f"a signature of the enrolled key {keyid[:16]}", "none")
            want(known is None or known.revoked is None, "a key that was not revoked", f"{keyid[:16]}, which was")

    def _take(self, statement: Statement, body: dict[str, Any], origin: str, signers: dict[str, Key]) -> None:
        """Take in what later entries rest on."""
        kind, seq = statement.kind, statement.seq
        if kind == "genesis":
            self.origin, self.threshold = origin, number(body, "threshold")
            self.log_keys = {parse_vkey(vkey).text: None for vkey in items(body, "log_keys")}
            self.keys = dict(signers)
            registry = public_key(body.get("registry_key"))
            if fingerprint(registry) not in signers:
                self.keys[fingerprint(registry)] = Key(registry, frozenset({"registry"}))
        elif kind == "key" and "revocation" in body:
            key, suspect = self.keys.get(text(body, "fingerprint")), inside(body, "revocation").get("suspect_from_seq")
            if key is not None:
                key.revoked, key.suspect = seq, suspect if isinstance(suspect, int) else None
            for vkey in self.log_keys:
                if fingerprint(parse_vkey(vkey).raw) == body["fingerprint"]:
                    self.log_keys[vkey] = seq
        elif kind == "key" and "vkey" in body:
            self.log_keys[text(body, "vkey")] = None
        elif kind == "key":
            limit = text(body, "not_after") if "not_after" in body else None
            self.keys[text(body, "fingerprint")] = Key(public_key(body["public_key"]), frozenset(items(body, "roles")), limit)
        elif kind == "run" and body.get("phase") == "open":
            self.runs[statement.ref] = Run(Key(public_key(body.get("run_key")), frozenset({"run"})))
        elif kind == "run" and text(body, "run") in self.runs:
            self.runs[body["run"]].closed = seq
        elif kind == "shard":
            self.shards[statement.ref] = Shard(digest_in(body, "file"), digest_in(body, "record_root"), number(body, "rows"))


def check_signatures(
    envelope: dict[str, Any], payload: bytes, kind: str, key_of: Callable[[str], Key | None], history: History
) -> dict[str, Key]:
    """Check all signatures of a DSSE envelope, each by a key of its own; returns the keys by id."""
    want(envelope["payloadType"] == kind, f"payload type {kind}", repr(envelope["payloadType"]))
    signatures, found = envelope["signatures"], {}
    want(isinstance(signatures, list) and 1 <= len(signatures) <= 16, "1 to 16 signatures", repr(signatures))
    for signature in signatures:
        members(signature, "keyid", "sig")
        keyid = text(signature, "keyid")
        want(HEX_32.fullmatch(keyid) is not None and keyid not in found, "one signature a key", repr(keyid))
        key = key_of(keyid)
        if key is None:
            raise history.unknown(f"a key statement for {keyid}")
        want(fingerprint(key.raw) == keyid, f"the key {keyid}", fingerprint(key.raw))
        signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)
        valid = verifies(key.raw, from_base64(text(signature, "sig"), "signature", length=64), signed)
        want(valid, f"a valid signature by {keyid[:16]}", "one that does not verify")
        found[keyid] = key
    return found


def names_in(predicate: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any] | None]]:
    """Every digest of bytes in a predicate (bare hex), where it stands, and the list that it is of; roots are none."""
    stack: list[tuple[str, Any]] = [(name, predicate[name]) for name in predicate]
    while stack:
        where, value = stack.pop()
        if isinstance(value, dict) and value.keys() == {"digest", "root", "count"}:
            yield digest_in(value, "digest"), where, value
        elif isinstance(value, dict):
            stack += [(f"{where}.{name}", value[name]) for name in value if name not in ("root", "block_root", "record_root")]
        elif isinstance(value, list):
            stack += [(where, item) for item in value]
        elif isinstance(value, str) and DIGEST.fullmatch(value):
            yield value[7:], where, None


# Records ---------------------------------------------------------------------------------------------------------------


def prove_record(file: str, history: History) -> str:
    """Check that a record is the row it says of a shard that a proved statement describes."""
    proof = members(canonical(read_file(file, MAX_RECORD)), "proof", "record", "row", "rows", "salt", "shard", "v")
    want(number(proof, "v") == 1, "version 1", repr(proof["v"]))
    digest, row, rows, salt = digest_in(proof, "shard"), number(proof, "row"), number(proof, "rows"), text(proof, "salt")
    shards = {ref: shard for ref, shard in history.shards.items() if shard.file == digest}
    if not shards:
        raise Missing(f"no proved statement is about the shard {digest}")
    want(HEX_ID.fullmatch(salt) is not None, "a salt of 32 hex digits", repr(salt))
    path = [text({"": item}, "") for item in items(proof, "proof")]
    want(all(HEX_32.fullmatch(item) for item in path), "a path of hashes of 64 hex digits", repr(path))
    leaf = leaf_hash(bytes.fromhex(salt) + record_data(members(proof["record"], *CONTENT, *OTHERS)))
    root = root_by_inclusion(row, rows, leaf, [bytes.fromhex(item) for item in path]).hex()
    for ref, shard in shards.items():
        want(rows == shard.rows, f"a shard of {shard.rows} records, as {ref} says", str(rows))
        want(root == shard.record_root, f"a path to the record root {shard.record_root} of {ref}", root)
    return f"row {row} of {', '.join(shards)}"


def record_data(record: dict[str, Any]) -> bytes:
    """Record id, and the digest of the other columns: what a record's leaf holds after the salt."""
    content = b"".join(frame(record[name], kind) for name, kind in CONTENT.items())
    prompt = frame(record["prompt"], CONTENT["prompt"])
    prompt_id = None if record["prompt"] is None else hashlib.sha256(b"inbond-prompt-v1\n" + prompt).hexdigest()
    others = frame(prompt_id, "text") + b"".join(frame(record[name], kind) for name, kind in OTHERS.items())
    return hashlib.sha256(b"inbond-record-v1\n" + content).digest() + hashlib.sha256(others).digest()


def frame(value: Any, kind: str) -> bytes:
    """A value in the framing of records: 00 for null, else 01 and length and bytes, or 01 and count and values."""
    if value is None:
        return b"\x00"
    if kind in ("text", "number"):
        want(type(value) is (str if kind == "text" else int), f"a {kind}", repr(value))
        data = str(value).encode()
        return b"\x01" + len(data).to_bytes(8, "big") + data
    want(isinstance(value, list) and None not in value, f"a list of {kind}", repr(value))
    if kind == "turns":
        turns = [members(turn, "role", "content") for turn in value]
        parts = [b"\x01" + frame(text(turn, "role"), "text") + frame(text(turn, "content"), "text") for turn in turns]
    else:
        parts = [frame(item, kind.removesuffix("s")) for item in value]
    return b"\x01" + len(parts).to_bytes(8, "big") + b"".join(parts)


# Policies, notes, checkpoints ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Vkey:
    """A verifier key of signed notes (C2SP signed-note): 0x01 Ed25519, 0x04 Ed25519 cosignature/v1, 0x06 ML-DSA-44."""

    name: str
    type: int
    raw: bytes

    @property
    def id(self) -> bytes:
        """Four bytes that name the key, with its name."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.raw).digest()[:4]

    @property
    def text(self) -> str:
        """The one way to write it."""
        return f"{self.name}+{self.id.hex()}+{to_base64(bytes([self.type]) + self.raw)}"

    def verifies(self, note: bytes, blob: bytes) -> bool:
        """Whether `blob`, a signature without the key id, is this key's over a note's text."""
        if self.type == ED25519:
            return verifies(self.raw, blob, note)
        time = int.from_bytes(blob[:8], "big")
        return len(blob) == 72 and time < 1 << 63 and verifies(self.raw, blob[8:], b"cosignature/v1\ntime %d\n%b" % (time, note))


@dataclass(frozen=True)
class Checkpoint:
    """An accepted head of a log; `signers` are the vkeys of the trusted logs that signed it."""

    origin: str
    size: int
    root: bytes
    signers: tuple[str, ...]


@dataclass
class Policy:
    """A C2SP tlog-policy. A group (name, threshold, members) stands after what it names."""

    logs: list[Vkey] = field(default_factory=list)
    witnesses: dict[str, Vkey] = field(default_factory=dict)
    groups: list[tuple[str, int, list[str]]] = field(default_factory=list)
    quorum: str | None = None

    def open(self, note: bytes) -> Checkpoint:
        """The checkpoint in a signed note, if a log of this policy signed it and the quorum of witnesses is met."""
        body, signatures = split_note(note)
        keys = {(key.name, key.id): key for key in (*self.logs, *self.witnesses.values())}
        signed, unread = set(), set()
        for name, key_id, blob in signatures:
            key = keys.get((name, key_id))
            if key is not None and key.type == ML_DSA_44:
                unread.add(key)
            elif key is not None:
                want(key.verifies(body, blob), f"a valid signature by {name}", "one that does not verify")
                signed.add(key)
        lines = body.decode().split("\n")
        want(len(lines) == 4 and lines[3] == "", "a checkpoint of three lines: origin, size, root", repr(body[:80]))
        origin, size, root = lines[0], decimal(lines[1], "size"), from_base64(lines[2], "root", length=32)
        logs = tuple(key.text for key in self.logs if key in signed and key.name == origin)
        wanted = f"a checkpoint that a log of the policy signed ({', '.join(key.name for key in self.logs)})"
        if not logs and any(key in unread and key.name == origin for key in self.logs):
            raise Missing(f"{origin} signed this checkpoint with ML-DSA only, which this program does not read")
        want(bool(logs), wanted, f"one of {origin!r}, signed by {', '.join(name for name, _, _ in signatures)}")
        if not self._met(signed):
            if self._met(signed | unread):
                raise Missing(f"the quorum {self.quorum} rests on ML-DSA cosignatures, which this program does not read")
            cosigned = ", ".join(sorted(key.name for key in signed if key.type == COSIGNATURE_V1)) or "none"
            raise Failed(f"expected cosignatures that meet the quorum {self.quorum!r}, found {cosigned}")
        return Checkpoint(origin, size, root, logs)

    def _met(self, signed: set[Vkey]) -> bool:
        names = {name for name, key in self.witnesses.items() if key in signed}
        for name, threshold, group in self.groups:
            if len(names.intersection(group)) >= threshold:
                names.add(name)
        return self.quorum == "none" or self.quorum in names


def read_policy(data: bytes) -> Policy:
    """Read a tlog-policy file; Failed, with the number of the line, for what its format does not allow."""
    policy, names, free = Policy(), {"none"}, set[str]()
    for number_, line in enumerate(data.decode("utf-8", "replace").split("\n"), 1):
        want("�" not in line and not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", line), f"plain text in policy line {number_}", repr(line[:80]))
        words = [word for word in re.split("[ \t]+", line) if word]
        if not words or words[0].startswith("#"):
            continue
        where, found = f"in policy line {number_}", repr(line[:80])
        if words[0] == "log" and len(words) in (2, 3):
            key = parse_vkey(words[1])
            want(key.type in (ED25519, ML_DSA_44), f"a log key of type 01 or 06 {where}", f"type {key.type:02x}")
            want(all(key.raw != other.raw for other in policy.logs), f"each log key once {where}", found)
            policy.logs.append(key)
        elif words[0] in ("witness", "group") and len(words) >= (3 if words[0] == "witness" else 4):
            name = words[1]
            if words[0] == "witness":
                key = parse_vkey(words[2])
                want(key.type in (COSIGNATURE_V1, ML_DSA_44), f"a witness key of type 04 or 06 {where}", f"type {key.type:02x}")
                want(all(key.raw != other.raw for other in policy.witnesses.values()), f"each witness key once {where}", found)
                want(len(words) <= 4, f"a witness's name, key and URL {where}", found)
                policy.witnesses[name] = key
            else:
                group = words[3:]
                want(free.issuperset(group) and len(set(group)) == len(group), f"members named above, in no other group {where}", found)
                free.difference_update(group)
                fixed = {"any": 1, "all": len(group)}.get(words[2])
                threshold = fixed or int(words[2] if re.fullmatch("[1-9][0-9]{0,5}", words[2]) else 0)
                want(1 <= threshold <= len(group), f"all, any or 1 to {len(group)} {where}", found)
                policy.groups.append((name, threshold, group))
            want(name not in names, f"a name that is not taken {where}", found)
            names.add(name)
            free.add(name)
        else:
            want(words[0] == "quorum" and len(words) == 2, f"log, witness, group or quorum {where}", found)
            want(policy.quorum is None and words[1] in names, f"one quorum, of a name above or none, {where}", found)
            policy.quorum = words[1]
    want(bool(policy.logs) and policy.quorum is not None, "a policy with a log and one quorum line", "none")
    keys = {*policy.logs, *policy.witnesses.values()}
    want(len({(key.name, key.id) for key in keys}) == len(keys), "keys with names and ids of their own in the policy", "two alike")
    return policy


def parse_vkey(value: Any) -> Vkey:
    """The verifier key that a text holds; Failed unless it is written as `Vkey.text` writes it."""
    parts = value.split("+", 2) if isinstance(value, str) and len(value) <= 4096 else []
    want(len(parts) == 3 and is_name(parts[0]), "a verifier key <name>+<id>+<base64>", repr(value)[:80])
    data = from_base64(parts[2], "verifier key")
    sizes = {ED25519: 32, COSIGNATURE_V1: 32, ML_DSA_44: 1312}
    want(bool(data) and len(data) == 1 + sizes.get(data[0], -2), f"a key of type 01, 04 or 06 for {parts[0]}", data[:1].hex())
    key = Vkey(parts[0], data[0], data[1:] if data[0] == ML_DSA_44 else sound_key(data[1:]))
    want(key.text == value, f"the key id {key.id.hex()} for {key.name}", repr(parts[1][:20]))
    return key


def split_note(data: bytes) -> tuple[bytes, list[tuple[str, bytes, bytes]]]:
    """Text and signature lines (name, key id, blob) of a signed note; nothing is verified."""
    body, blank, block = data.rpartition(b"\n\n")
    lines = utf8(block, "a signed note").split("\n")
    controls = any(byte < 0x20 and byte != 0x0A for byte in data)
    want(bool(blank) and not controls and lines.pop() == "" and 1 <= len(lines) <= 100, "a signed note", repr(data[:60]))
    utf8(body, "a signed note")
    signatures = []
    for line in lines:
        name, space, encoded = line.removeprefix("— ").partition(" ")
        want(line.startswith("— ") and bool(space) and is_name(name), "a line '— <name> <base64>'", repr(line[:80]))
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


def root_by_inclusion(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """The root to which an audit path leads from `leaf`, by the recursion of RFC 6962 section 2.1.1 read backwards."""
    want(0 <= index < size and (size > 1) == bool(path), f"a path for leaf {index} of {size}", f"{len(path)} more hashes")
    if size == 1:
        return leaf
    want(len(path[-1]) == 32, "hashes of 32 bytes", str(len(path[-1])))
    left = 1 << ((size - 1).bit_length() - 1)  # leaves of the left subtree: the largest power of two below size
    if index < left:
        return node_hash(root_by_inclusion(index, left, leaf, path[:-1]), path[-1])
    return node_hash(path[-1], root_by_inclusion(index - left, size - left, leaf, path[:-1]))


def check_consistent(old: int, new: int, path: list[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raise Failed unless `path` shows that the tree of size `new` begins with the tree of size `old`, by section 2.1.2."""
    want(0 < old <= new and all(len(item) == 32 for item in path), f"hashes and sizes 0 < {old} <= {new}", "others")

    def roots(old: int, new: int, path: list[bytes], known: bool) -> tuple[bytes, bytes]:
        if old == new:
            want(len(path) == (0 if known else 1), "a path of the length that the sizes give", f"{len(path)} hashes left")
            return (old_root, old_root) if known else (path[0], path[0])
        want(bool(path), "a path of the length that the sizes give", "its end")
        left = 1 << ((new - 1).bit_length() - 1)
        if old <= left:
            first, second = roots(old, left, path[:-1], known)
            return first, node_hash(second, path[-1])
        first, second = roots(old - left, new - left, path[:-1], False)
        return node_hash(path[-1], first), node_hash(path[-1], second)

    found = roots(old, new, path, True)
    want(found == (old_root, new_root), f"roots {old_root.hex()} and {new_root.hex()}", f"{found[0].hex()} and {found[1].hex()}")


# Small things: files, keys, JSON, texts --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Content:
    """What was measured of a file: bare hex SHA-256, bytes, RFC 6962 root over its blocks."""

    digest: str
    size: int
    block_root: bytes


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
    return Content(whole.hexdigest(), size, tree.root())


def read_file(file: str, limit: int) -> bytes:
    """The bytes of a file; Failed for more than `limit`."""
    with open(file, "rb") as stream:
        data = stream.read(limit + 1)
    want(len(data) <= limit, f"at most {limit} bytes in {file}", "more")
    return data


def is_file(path: str) -> bool:
    """Whether there is a regular file, which cannot block when it is read."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def want(condition: bool, expected: str, found: str) -> None:
    """Raise Failed unless `condition` holds."""
    if not condition:
        raise Failed(f"expected {expected}, found {found[:200]}")


def printable(message: str) -> str:
    """`message` in one line of at most 1,000 characters, so that no file name or value can look like a line of ours."""
    return "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in message[:1000])


def public_key(value: Any) -> bytes:
    """The raw Ed25519 key in a base64 text."""
    want(isinstance(value, str), "a public key in base64", repr(value))
    return sound_key(from_base64(value, "public key", length=32))


def sound_key(raw: bytes) -> bytes:
    """`raw`, unless it is no canonical key, or a point of small order, under which anybody can sign anything."""
    y, field_ = int.from_bytes(raw, "little") & (1 << 255) - 1, 2**255 - 19
    eighth = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
    want(y < field_ and y not in (0, 1, field_ - 1, eighth, field_ - eighth), "a sound Ed25519 key", raw.hex())
    return raw


def fingerprint(raw: bytes) -> str:
    """The id of a key in statements: hex SHA-256 of its raw bytes."""
    return hashlib.sha256(raw).hexdigest()


def verifies(raw: bytes, signature: bytes, data: bytes) -> bool:
    """Whether an Ed25519 signature is good."""
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def canonical(data: bytes) -> Any:
    """Parse RFC 8785 JSON without floats, with integers within ±(2^53-1), ASCII keys, at most 64 deep; Failed for other."""
    try:
        value = json.loads(utf8(data, "JSON"), parse_float=refuse, parse_constant=refuse, parse_int=integer)
        same = encode(value) == data
    except (ValueError, RecursionError) as error:
        raise Failed(f"expected canonical JSON, found {str(error)[:80]}") from None
    want(same, "canonical JSON", repr(data[:60]))
    level = [value]
    for _ in range(65):  # by depth: the 65th level must hold no more containers
        level = [item for box in level if isinstance(box, dict | list) for item in (box.values() if isinstance(box, dict) else box)] \
            if check_keys(level) else []  # fmt: skip
    want(not level, "JSON at most 64 deep", "deeper JSON")
    return value


def check_keys(level: list[Any]) -> bool:
    """Raise Failed for an object key that is not ASCII; else True."""
    for box in level:
        want(not isinstance(box, dict) or all(name.isascii() for name in box), "ASCII keys", "another key")
    return True


def encode(value: Any) -> bytes:
    """The canonical bytes of a parsed value."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def integer(digits: str) -> int:
    """An integer within ±(2^53-1)."""
    want(len(digits) <= 17 and abs(int(digits)) < 1 << 53, "an integer within ±(2^53-1)", digits[:40])
    return int(digits)


def refuse(digits: str) -> Any:
    """Refuse a number that is not an integer."""
    raise Failed(f"expected integers, found {digits[:40]}")


def members(value: Any, *names: str) -> dict[str, Any]:
    """`value`, an object with exactly these members."""
    want(isinstance(value, dict) and value.keys() == set(names), f"an object of {', '.join(names)}", repr(value))
    found: dict[str, Any] = value
    return found


def inside(value: Any, *path: str) -> dict[str, Any]:
    """The object at `path` inside an object."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    want(isinstance(value, dict), f"an object {'.'.join(path)}", repr(value))
    found: dict[str, Any] = value
    return found


def text(value: dict[str, Any], name: str) -> str:
    """The string member `name`."""
    found = value.get(name) if isinstance(value, dict) else None
    want(isinstance(found, str), f"a string {name}", repr(found))
    return str(found)


def number(value: dict[str, Any], name: str) -> int:
    """The integer member `name`, not negative."""
    found = value.get(name)
    want(type(found) is int and found >= 0, f"a number {name}", repr(found))
    return int(found or 0)


def items(value: dict[str, Any], name: str) -> list[Any]:
    """The list member `name`, of strings."""
    found = value.get(name)
    want(isinstance(found, list) and all(isinstance(item, str) for item in found), f"a list of strings {name}", repr(found))
    return list(found or ())


def digest_in(value: dict[str, Any], name: str) -> str:
    """The hex of the member `name`, a digest sha256:<hex>."""
    found = text(value, name)
    want(DIGEST.fullmatch(found) is not None, f"a digest {name}, sha256:<64 hex digits>", repr(found))
    return found[7:]


def moment(value: str) -> str:
    """An instant as entries write it."""
    try:
        valid = bool(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z", value)) and bool(datetime.fromisoformat(value))
    except ValueError:
        valid = False
    want(valid, "a time such as 2026-01-31T23:59:59.000Z", repr(value))
    return value


def utf8(data: bytes, what: str) -> str:
    """`data` as text."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Failed(f"expected {what} in UTF-8, found another byte at {error.start}") from None


def decimal(value: str, what: str) -> int:
    """A number of 0 to 2^63-1 without leading zeros."""
    valid = re.fullmatch("0|[1-9][0-9]{0,18}", value) is not None and int(value) < 1 << 63
    want(valid, f"a decimal number as {what}", repr(value[:40]))
    return int(value)


def to_base64(data: bytes) -> str:
    """Padded standard base64."""
    return b64encode(data).decode()


def from_base64(value: str, what: str, *, length: int | None = None, limit: int = 1 << 14) -> bytes:
    """The bytes of padded standard base64, written in the one way; Failed for other text and other lengths."""
    want(len(value) <= (limit + 2) // 3 * 4, f"at most {limit} bytes as {what}", f"{len(value)} characters")
    try:
        data = binascii.a2b_base64(value, strict_mode=True)
        same = to_base64(data) == value
    except ValueError:
        data, same = b"", False
    want(same and length in (None, len(data)), f"base64 {f'of {length} bytes ' if length else ''}as {what}", repr(value[:60]))
    return data


if __name__ == "__main__":
    sys.exit(main())
