"""How fast does a server put statements on record, one by one and in batches? Each is answered with its receipt.

    python bench/http_append.py [--clients 64] [--statements 1000] [--rounds 5] [--batch 256]

Statements are made and signed beforehand. Each of 64 clients keeps one connection, sends one statement, reads the whole
answer (201 with the receipt), and sends the next; then two clients send batches (`POST /v1/batches`). Beside them, taking
turns, 16 threads append statements of the same kind to a log of this process, which is what the server would reach if HTTP
cost nothing, and every core does nothing but verify as many Ed25519 signatures, which is more than any server can take.

The clients share the machine with the server: what each side spends of the processors is given for each statement, without
the waits of others on the same machine. Wanted: above 600 a second and 99 of 100 receipts within 100 ms, which 64 clients
that wait for each other's turn can see only above 640 a second; in batches above 5,000 a second.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from urllib.parse import urlsplit

import msgspec
from rich.console import Console
from rich.table import Table
from serving import ORIGIN, parties, processor_time, served, token

from inbond.api.serving import TURN
from inbond.ledger import dsse
from inbond.registry.registry import Registry
from inbond.schemas.entry import Envelope

Way = Callable[[list[Envelope]], list[float]]
"""Does something with statements; returns how long each answer took, where there is one."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--clients", type=int, default=64)
    options.add_argument("--statements", type=int, default=1_000, help="a round")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--batch", type=int, default=256)
    given = options.parse_args()
    sys.setswitchinterval(TURN)
    with tempfile.TemporaryDirectory(prefix="inbond-bench-") as name:
        os.environ["INBOND_STATE"] = f"{name}/state"
        over, direct = Path(name) / "served", Path(name) / "direct"
        with Registry.init(over, ORIGIN, "bench") as far, Registry.init(direct, ORIGIN, "bench") as near, served(over) as server:
            bearer, key = token(over, "compliance"), far.keys.role("compliance").public

            def send(path: str, size: int, clients: int) -> Way:
                def way(envelopes: list[Envelope]) -> list[float]:
                    groups = [envelopes[i : i + size] for i in range(0, len(envelopes), size)]
                    bodies = [msgspec.json.encode(some[0] if size == 1 else {"statements": some}) for some in groups]
                    return asyncio.run(_send(server.url, path, bearer, bodies, clients))

                return way

            def threads(envelopes: list[Envelope]) -> list[float]:
                with ThreadPoolExecutor(16) as pool:
                    list(pool.map(near.log.append_one, envelopes))
                return []

            def verified(envelopes: list[Envelope]) -> list[float]:
                with ThreadPoolExecutor(os.cpu_count()) as pool:
                    list(pool.map(lambda envelope: dsse.verify(envelope, lambda _: key), envelopes, chunksize=64))
                return []

            single, batches = f"HTTP, {given.clients} clients", f"HTTP, batches of {given.batch}, 2 clients"
            ways: dict[str, Way] = {
                single: send("/v1/parties", 1, given.clients),
                "no HTTP, 16 threads": threads,
                batches: send("/v1/batches", given.batch, 2),
                "Ed25519 alone, all cores": verified,
            }
            measured: dict[str, list[Measured]] = {way: [] for way in ways}
            for turn in range(-1, given.rounds):
                for name_of, way in ways.items():
                    count = given.statements if "batches" not in name_of else max(given.statements, 4 * given.batch)
                    envelopes = parties(near if way is threads else far, count)
                    found = _measure(way, envelopes, server.pid)
                    if turn >= 0:  # the first round warms up
                        measured[name_of].append(found)
    table = Table(title=f"{given.statements} statements a round, {given.rounds} rounds")
    for column in ("way", "per second", "best", "p50 ms", "p99 ms", "server ms", "this process ms"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for name_of, seen in measured.items():
        waits = sorted(wait for each in seen for wait in each.waits)
        wait = [f"{waits[len(waits) * p // 100] * 1e3:.0f}" if waits else "" for p in (50, 99)]
        rates = [each.rate for each in seen]
        spent = [f"{1e3 * median(each.server for each in seen):.2f}", f"{1e3 * median(each.here for each in seen):.2f}"]
        table.add_row(name_of, f"{median(rates):,.0f}", f"{max(rates):,.0f}", *wait, *spent)
    Console(width=110).print(table)
    print(f"server ms, this process ms: processor time a statement; {os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}")


class Measured(msgspec.Struct):
    """Statements a second, how long each answer took, and seconds of processor time a statement."""

    rate: float
    waits: list[float]
    server: float
    here: float


def _measure(way: Way, envelopes: list[Envelope], pid: int) -> Measured:
    there, here, start = processor_time(pid), process_time(), perf_counter()
    waits = way(envelopes)
    count, took = len(envelopes), perf_counter() - start
    return Measured(count / took, waits, (processor_time(pid) - there) / count, (process_time() - here) / count)


async def _send(url: str, path: str, bearer: str, waiting: list[bytes], clients: int) -> list[float]:
    """Send all bodies, as fast as answers come; returns how long each took. Raises unless all of them is put on record."""
    took: list[float] = []
    parts = urlsplit(url)

    async def client() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 20)
        try:
            while waiting:
                body = waiting.pop()
                head = (
                    f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {bearer}\r\n"
                    f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                )
                start = perf_counter()
                writer.write(head.encode() + body)
                status, length = await _head(reader)
                answer = await reader.readexactly(length)
                took.append(perf_counter() - start)
                if status not in (200, 201) or b'"problem"' in answer:
                    raise SystemExit(f"expected statements on record, found {status}: {answer.decode()[:500]}")
        finally:
            writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return took


async def _head(reader: asyncio.StreamReader) -> tuple[int, int]:
    """The status of an answer, and the length of its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    length = next(int(line.split(":")[1]) for line in head if line.lower().startswith("content-length:"))
    return int(head[0].split()[1]), length


if __name__ == "__main__":
    main()
