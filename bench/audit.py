"""How fast is an audit, and does its memory stay flat? Entries per second beside the bare cost of hashing and verifying.

    python bench/audit.py [--entries 10000 50000] [--unsigned 200000] [--keep FOLDER]

Logs of party statements, a checkpoint every 256 entries, each statement naming the newest head as seen. They are built by
hand (rows into the database), those under `--unsigned` with signatures that do not verify, which takes a quarter of the
time. Each audit runs in a process of its own; its memory is the highest resident sum of it and its workers. Beside it, in
the same run and over the same bytes with nothing else done: SHA-256 of every entry on one core, and Ed25519 of every
signature on all cores, in processes.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from binascii import b2a_base64
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

from rich.console import Console
from rich.table import Table

from inbond.ledger import checkpoints, dsse, merkle
from inbond.ledger.audit import Options, audit_folder, audit_log
from inbond.ledger.auditing.workers import cores
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.entries import parse_entry
from inbond.ledger.export import export
from inbond.ledger.keys import SigningKey
from inbond.ledger.log import Log
from inbond.ledger.rules import NoRules
from inbond.ledger.tiles import updated_tiles
from inbond.schemas import statement
from inbond.schemas.declared import unknown
from inbond.schemas.entry import PAYLOAD_TYPE
from inbond.schemas.statements import AssertedBy, Basis, FirstParty, Genesis, Header, Party, Seen, Visibility

ORIGIN = "bench.example/audit"
BATCH = 256
_ID, _ALIAS, _ROOT, _SIZE = "1d" * 16, "an alias of its own", "5ee0" * 16, 123456789


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--entries", type=int, nargs="*", default=[10_000, 50_000])
    options.add_argument("--unsigned", type=int, nargs="*", default=[200_000])
    options.add_argument("--keep", type=Path, help="build the logs here, and use those that are there")
    options.add_argument("--one", nargs=3, metavar=("FOLDER", "HOW", "WORKERS"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        return one(Path(given.one[0]), given.one[1], int(given.one[2]))
    table = Table(title=f"audits, {cores()} cores")
    for column in ("entries", "what", "per second", "beside Ed25519", "beside SHA-256", "memory"):
        table.add_column(column, justify="left" if column == "what" else "right")
    with tempfile.TemporaryDirectory(prefix="inbond-bench-") as name:
        for size, signed in [*((size, True) for size in given.entries), *((size, False) for size in given.unsigned)]:
            folder = (given.keep or Path(name)) / f"{'signed' if signed else 'unsigned'}-{size}"
            os.environ["INBOND_STATE"] = f"{folder}/state"
            if not folder.exists():
                start = perf_counter()
                build(folder, size, signed)
                print(f"{folder.name}: built in {perf_counter() - start:.0f} s", file=sys.stderr)
            hashing, verifying = bare(folder, signed)
            for how, what in HOW.items():
                if signed or "all" not in how:
                    rate, memory = measured(folder, how)
                    beside = f"{rate / verifying:.2f}" if "all" in how else ""
                    table.add_row(f"{size:,}", what, f"{rate:,.0f}", beside, f"{rate / hashing:.3f}", f"{memory:.0f} MB")
            table.add_row(f"{size:,}", "SHA-256, one core", f"{hashing:,.0f}", "", "", "")
            if signed:
                table.add_row(f"{size:,}", "Ed25519, all cores", f"{verifying:,.0f}", "", "", "")
            table.add_section()
    Console(width=110).print(table)
    print(f"load {os.getloadavg()[0]:.1f}")


HOW = {
    "log": "the log, without statement signatures",
    "log all": "the log, all signatures",
    "folder": "an exported folder, without statement signatures",
    "folder all": "an exported folder, all signatures",
}


def one(folder: Path, how: str, workers: int) -> None:
    """Audit once and say how fast; for a process of its own."""
    options = Options(signatures="all" in how, workers=workers or None)
    start = perf_counter()
    if how.startswith("folder"):
        report = audit_folder(folder / "export", NoRules(), options=options)
    else:
        log = Log(folder, NoRules())
        report = audit_log(log, NoRules(), options=options)
        log.close()
    took = perf_counter() - start
    assert report.problem is None, report
    print(json.dumps({"size": report.size, "rate": report.size / took, "checkpoints": report.checkpoints}))


def measured(folder: Path, how: str, workers: int = 0) -> tuple[float, float]:
    """Entries per second and megabytes of an audit."""
    command = [sys.executable, __file__, "--one", str(folder), how, str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        highest = [0.0]
        thread = threading.Thread(target=_watch, args=(process, highest))
        thread.start()
        assert process.stdout is not None
        answer = process.stdout.read()
        thread.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return float(json.loads(answer)["rate"]), highest[0]


def _watch(process: "subprocess.Popen[str]", highest: list[float]) -> None:
    while process.poll() is None:
        pids = [process.pid]
        try:
            for task in Path(f"/proc/{process.pid}/task").iterdir():
                pids += [int(pid) for pid in (task / "children").read_text().split()]
            statuses = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
            total = sum(int(status.split("VmRSS:")[1].split()[0]) for status in statuses if "VmRSS:" in status)
            highest[0] = max(highest[0], total / 1024)
        except OSError:
            pass
        sleep(0.05)


def bare(folder: Path, signed: bool) -> tuple[float, float]:
    """Entries per second of hashing alone on one core, and of verifying alone on all cores."""
    with Log(folder, NoRules()).reading() as reader:
        entries = [data for _, data in reader.entries(0, min(reader.size, 20_000))]
    start = perf_counter()
    for data in entries:
        sha256(b"\0" + data).digest()
    hashing = len(entries) / (perf_counter() - start)
    if not signed:
        return hashing, 0.0
    key = _key("registry").public
    parsed = [parse_entry(data).dsse for data in entries[1:]]
    some = [(dsse.pae(PAYLOAD_TYPE, dsse.payload_of(each)), each.signatures[0].sig) for each in parsed]
    todo = [(signed, b64(sig)) for signed, sig in some]

    def verify(share: int) -> None:
        for text, signature in todo[share :: cores()]:
            assert key.verify(signature, text)

    verify(0)
    start = perf_counter()
    with ThreadPoolExecutor(cores()) as pool:  # verifying releases the lock of the interpreter
        list(pool.map(verify, range(cores())))
    return hashing, len(todo) / (perf_counter() - start)


def b64(text: str) -> bytes:
    """The bytes of base64."""
    from binascii import a2b_base64

    return a2b_base64(text)


# -- building ----------------------------------------------------------------------------------------------------------------


def _key(name: str) -> SigningKey:
    return SigningKey.from_seed(f"{ORIGIN}/{name}" if name else ORIGIN, sha256(f"bench {name}".encode()).digest())


def build(folder: Path, size: int, signed: bool) -> None:
    """A log of `size` entries in `folder`, and its export in `folder`/export."""
    folder.mkdir(parents=True)
    admin, registry, log_key = _key("admin"), _key("registry"), _key("")
    party = secrets.token_hex(16)
    genesis = Genesis(
        origin=ORIGIN,
        admins=(admin.public.base64,),
        threshold=1,
        log_keys=(log_key.verifier.format(),),
        registry_key=registry.public.base64,
        operator=FirstParty(name="Bench", legal_name=unknown()),
    )
    header = _header(None, party, party)
    log = Log.create(folder, dsse.sign(statement.make("genesis", genesis, header), [admin]), log_key, NoRules())
    payload = statement.make(
        "party",
        Party(legal_name=unknown(), aliases=(_ALIAS,), domicile=unknown()),
        _header(Seen(size=_SIZE, root=f"sha256:{_ROOT}"), _ID, party),
    )
    with log.database.writing() as connection:
        raw: Any = connection.connection.dbapi_connection
        _fill(raw, log, size, payload, registry, log_key, signed)
        raw.execute("COMMIT")
    with log.reading() as reader:
        export(reader, folder / "export")
    log.close()


def _fill(raw: Any, log: Log, size: int, payload: bytes, registry: SigningKey, log_key: SigningKey, signed: bool) -> None:
    keyid, digest = registry.public.fingerprint, statement.read(payload).subject_digest
    start = payload.index(b'{"body"')
    end = payload.index(b',"predicateType"')
    head, predicate, tail = payload[:start], payload[start:end], payload[end:]
    with log.reading() as reader:
        leaf, root, time, frontier = reader.leaf, reader.root, reader.time, reader.frontier
    at, tree = 1, merkle.CompactRange.from_bytes(1, frontier)
    raw.execute("PRAGMA cache_size=-262144")
    while at < size:
        rows, leaves, first = [], [], at
        some = predicate.replace(_ROOT.encode(), root.hex().encode()).replace(b"%d" % _SIZE, b"%d" % at)
        for seq in range(at, min(size, (at // BATCH + 1) * BATCH)):
            id = secrets.token_bytes(16)
            own = some.replace(_ID.encode(), id.hex().encode()).replace(_ALIAS.encode(), b"party number %d" % seq)
            whole = head + own + tail.replace(digest.encode(), sha256(own).hexdigest().encode())
            signature = registry.sign(dsse.pae(PAYLOAD_TYPE, whole)) if signed else secrets.token_bytes(64)
            data = (
                b'{"dsse":{"payload":"%b","payloadType":"%b","signatures":[{"keyid":"%b","sig":"%b"}]},"kind":"party",'
                b'"prev":"%b","seq":%d,"time":"%b","v":1}'
            ) % (
                b2a_base64(whole, newline=False), PAYLOAD_TYPE.encode(), keyid.encode(), b2a_base64(signature, newline=False),
                leaf.hex().encode(), seq, time.encode(),
            )  # fmt: skip
            prev, leaf = leaf, merkle.leaf_hash(data)
            rows.append((seq, "party", id, sha256(whole).digest(), prev, leaf, data))
            leaves.append(leaf)
        at += len(rows)
        raw.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        raw.executemany("INSERT INTO signers VALUES (?, ?)", [(row[0], bytes.fromhex(keyid)) for row in rows])

        def stored(level: int, n: int) -> bytes:
            return bytes(raw.execute("SELECT data FROM tiles WHERE level = ? AND n = ?", (level, n)).fetchone()[0])

        raw.executemany("INSERT OR REPLACE INTO tiles VALUES (?, ?, ?)", list(updated_tiles(first, stored, leaves)))
        tree.extend(leaves)
        root = tree.root()
        note = checkpoints.sign(Checkpoint(ORIGIN, at, root), [log_key])
        raw.execute("INSERT INTO checkpoints VALUES (?, ?)", (at, note))
    raw.execute("UPDATE head SET size = ?, root = ?, leaf = ?, frontier = ?, note = ?", (at, root, leaf, tree.to_bytes(), note))


def _header(seen: Seen | None, id: str, party: str) -> Header:
    return Header(
        registry=ORIGIN,
        id=id,
        seen=seen,
        occurred=unknown(),
        basis=Basis.DECLARED,
        asserted_by=AssertedBy(party=f"party:{party}"),
        evidence=(),
        visibility=Visibility.PUBLIC,
    )


if __name__ == "__main__":
    main()
