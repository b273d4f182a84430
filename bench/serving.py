"""A server process for the benches, and a registry with many shards for it."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from inbond.ledger import dsse
from inbond.ledger.keys import SigningKey
from inbond.registry.registry import Registry
from inbond.schemas import statement
from inbond.schemas.declared import unknown
from inbond.schemas.entry import Envelope
from inbond.schemas.statements import AssertedBy, Basis, Header, Party, Seen, Visibility

ORIGIN = "bench.example/inbond"
INBOND = [str(Path(sys.executable).parent / "inbond")]


@dataclass(frozen=True)
class Server:
    """A running server: its address and its process."""

    url: str
    pid: int


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    """Run `inbond serve` for the registry in `folder` on a free port."""
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [*INBOND, "--registry", str(folder), "serve", "--port", "0"], stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            if not first.startswith("listening on "):
                raise SystemExit(f"inbond serve: expected 'listening on …', found {first!r}; see {log.name}")
            yield Server(first.split()[2], process.pid)
        finally:
            process.terminate()
            process.wait(timeout=30)


def token(folder: Path, *roles: str) -> str:
    """A token of the operator with `roles`."""
    words = [word for role in roles for word in ("--role", role)]
    done = subprocess.run(
        [*INBOND, "--registry", str(folder), "token", "add", *words, "--json"], capture_output=True, text=True, check=True
    )
    return str(msgspec.json.decode(done.stdout)["token"])


def peak_memory(pid: int) -> float:
    """The highest resident memory of a process so far, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def processor_time(pid: int) -> float:
    """Seconds of processor time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def parties(registry: Registry, count: int) -> list[Envelope]:
    """New party statements, signed by compliance, who has seen the head as it is now."""
    key, seen = registry.keys.role("compliance"), registry.recorder.seen()
    return [_party(registry, key, seen) for _ in range(count)]


def _party(registry: Registry, key: SigningKey, seen: Seen) -> Envelope:
    header = Header(
        registry=ORIGIN,
        id=secrets.token_hex(16),
        seen=seen,
        occurred=unknown(),
        basis=Basis.DECLARED,
        asserted_by=AssertedBy(party=registry.operator),
        evidence=(),
        visibility=Visibility.PARTIES,
    )
    body = Party(legal_name=unknown(), aliases=(secrets.token_hex(8),), domicile=unknown())
    return dsse.sign(statement.make("party", body, header), [key])


def taught(folder: Path, shards: int, rows: int = 1, segment: int = 4096) -> Registry:
    """A registry in which a student was given `shards` shards of `rows` records, by two teachers."""
    os.environ.setdefault("INBOND_STATE", str(folder.parent / "state"))
    registry = Registry.init(folder, ORIGIN, "bench")
    for name in ("left", "right"):
        path = folder.parent / f"{name}.jsonl"
        with path.open("w") as file:
            for number in range(shards * rows // 2):
                turns = [{"role": "user", "content": f"{name} {number}"}, {"role": "assistant", "content": f"answer {number}"}]
                file.write(msgspec.json.encode({"messages": turns}).decode() + "\n")
        teacher = f"vendor/{name}@1"
        registry.import_files("messages", [path], teacher=teacher, dataset=name, create=True, max_rows=rows)
        registry.add_terms(b"ours", party="vendor", title=f"{name}-terms", effective="2026-01-01", models=(name,))
    registry.add_student("bench/pupil")
    for name in ("left", "right"):
        asked = registry.ask("bench/pupil", f"{name}-terms", "a bench")
        registry.rule(asked.ref, "permit", "a bench")
    for _ in registry.pull("left", "right", student="bench/pupil", run="first", segment=segment):
        pass
    registry.close_run("first", "kept")
    return registry
