"""How fast does a server put single statements on record? From 64 clients at once, each waiting for its receipt.

    python bench/http_append.py [--clients 64] [--statements 1000] [--rounds 5]

Statements are made and signed beforehand. Each client keeps one connection, sends one statement, reads the whole answer
(201 with the receipt), and sends the next. Beside it, taking turns, 16 threads append statements of the same kind to a log
of this process, which is what the server would reach if HTTP cost nothing. The clients run in this process, so on a
machine with two cores they take one from the server. Wanted: above 600 a second, 99 of 100 receipts within 100 ms.
"""

import argparse
import asyncio
import os
import secrets
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import urlsplit

import msgspec
from rich.console import Console
from rich.table import Table
from serving import ORIGIN, served, token

from inbond.ledger import dsse
from inbond.registry.registry import Registry
from inbond.schemas import statement
from inbond.schemas.declared import unknown
from inbond.schemas.entry import Envelope
from inbond.schemas.statements import AssertedBy, Basis, Header, Party, Visibility


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--clients", type=int, default=64)
    options.add_argument("--statements", type=int, default=1_000, help="a round")
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="inbond-bench-") as name:
        os.environ["INBOND_STATE"] = f"{name}/state"
        over, direct = Path(name) / "served", Path(name) / "direct"
        rates: dict[str, list[float]] = {"HTTP": [], "16 threads, no HTTP": []}
        waits: list[float] = []
        with Registry.init(over, ORIGIN, "bench") as far, Registry.init(direct, ORIGIN, "bench") as near, served(over) as server:
            bearer = token(over, "compliance")
            for turn in range(-1, given.rounds):
                envelopes = [_party(far) for _ in range(given.statements)]
                start = perf_counter()
                took = asyncio.run(_send(server.url, bearer, envelopes, given.clients))
                rate = given.statements / (perf_counter() - start)
                local = [_party(near) for _ in range(given.statements)]
                start = perf_counter()
                with ThreadPoolExecutor(16) as pool:
                    list(pool.map(near.log.append_one, local))
                plain = given.statements / (perf_counter() - start)
                if turn >= 0:  # the first round warms up
                    waits += took
                    rates["HTTP"].append(rate)
                    rates["16 threads, no HTTP"].append(plain)
    table = Table(title=f"{given.clients} clients, {given.statements} statements a round, {given.rounds} rounds")
    for column in ("way", "per second", "best", "ratio", "p50 ms", "p99 ms"):
        table.add_column(column, justify="left" if column == "way" else "right")
    plainly = rates["16 threads, no HTTP"]
    for way, seen in rates.items():
        ratio = median(a / b for a, b in zip(seen, plainly, strict=True))
        sorted_waits = sorted(waits)
        wait = [f"{sorted_waits[len(waits) * p // 100] * 1e3:.0f}" for p in (50, 99)] if way == "HTTP" else ["", ""]
        table.add_row(way, f"{median(seen):,.0f}", f"{max(seen):,.0f}", f"{ratio:.2f}", *wait)
    Console(width=100).print(table)
    print(f"{os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}")


def _party(registry: Registry) -> Envelope:
    key = registry.keys.role("compliance")
    header = Header(
        registry=ORIGIN,
        id=secrets.token_hex(16),
        seen=registry.recorder.seen(),
        occurred=unknown(),
        basis=Basis.DECLARED,
        asserted_by=AssertedBy(party=registry.operator),
        evidence=(),
        visibility=Visibility.PARTIES,
    )
    body = Party(legal_name=unknown(), aliases=(secrets.token_hex(8),), domicile=unknown())
    return dsse.sign(statement.make("party", body, header), [key])


async def _send(url: str, bearer: str, envelopes: list[Envelope], clients: int) -> list[float]:
    """Send all, as fast as answers come; returns how long each took. Raises unless each was answered with 201."""
    waiting = [msgspec.json.encode(envelope) for envelope in envelopes]
    took: list[float] = []
    parts = urlsplit(url)

    async def client() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            while waiting:
                body = waiting.pop()
                head = (
                    f"POST /v1/parties HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {bearer}\r\n"
                    f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                )
                start = perf_counter()
                writer.write(head.encode() + body)
                status, length = await _head(reader)
                answer = await reader.readexactly(length)
                took.append(perf_counter() - start)
                if status != 201:
                    raise SystemExit(f"expected 201, found {status}: {answer.decode()[:500]}")
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
