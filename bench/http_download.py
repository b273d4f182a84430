"""How fast does a server hand out a shard? Beside `python -m http.server` serving the same file, taking turns.

    python bench/http_download.py [--megabytes 200] [--rounds 7]

Wanted: at least 0.7 of http.server, with flat memory: the server's peak resident memory is printed before and after.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import urlsplit

import msgspec
from rich.console import Console
from rich.table import Table
from samples import text_records
from serving import ORIGIN, peak_memory, served, token

from inbond.registry.registry import Registry


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--megabytes", type=int, default=200, help="of text; the file is smaller")
    options.add_argument("--rounds", type=int, default=7)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="inbond-bench-") as name:
        os.environ["INBOND_STATE"] = f"{name}/state"
        folder = Path(name) / "served"
        shard, grant, path = granted(folder, given.megabytes)
        with served(folder) as server, plain(path.parent) as beside:
            bearer = token(folder, "trainer")
            ways: dict[str, Callable[[], int]] = {
                "python -m http.server": lambda: download(beside, f"/{path.name}", {}),
                "inbond": lambda: download(
                    server.url, f"/v1/shards/{shard}/content?grant={grant}", {"Authorization": f"Bearer {bearer}"}
                ),
            }
            seconds: dict[str, list[float]] = {way: [] for way in ways}
            before = peak_memory(server.pid)
            for turn in range(given.rounds + 1):
                for way, run in ways.items():
                    start = perf_counter()
                    if (found := run()) != path.stat().st_size:
                        raise SystemExit(f"{way}: expected {path.stat().st_size} bytes, found {found}")
                    if turn:  # the first round warms the page cache
                        seconds[way].append(perf_counter() - start)
            after = peak_memory(server.pid)
        size = path.stat().st_size / 1e6
    table = Table(title=f"a shard of {size:.0f} MB, {given.rounds} rounds")
    for column in ("way", "MB/s", "ratio"):
        table.add_column(column, justify="left" if column == "way" else "right")
    first = next(iter(ways))
    for way, took in seconds.items():
        ratio = median(a / b for a, b in zip(seconds[first], took, strict=True))
        table.add_row(way, f"{size / median(took):,.0f}", f"{ratio:.2f}")
    Console(width=100).print(table)
    print(
        f"the server's peak memory: {before:.0f} MB before, {after:.0f} MB after; "
        f"{os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}"
    )


def granted(folder: Path, megabytes: int) -> tuple[str, str, Path]:
    """A registry with one large shard that a run may read: the shard's id, the grant, the shard's file."""
    lines = folder.parent / "large.jsonl"
    records, _ = text_records(None, megabytes)
    with lines.open("wb") as file:
        for record in records:
            turns = [*(record.prompt or ()), {"role": "assistant", "content": record.response}]
            file.write(msgspec.json.encode({"messages": turns}) + b"\n")
    with Registry.init(folder, ORIGIN, "bench") as registry:
        found = registry.import_files(
            "messages", [lines], teacher="vendor/large@1", dataset="large", create=True, max_rows=len(records)
        )
        registry.add_terms(b"ours", party="vendor", title="terms", effective="2026-01-01")
        registry.add_student("bench/pupil")
        registry.rule(registry.ask("bench/pupil", "terms", "a bench").ref, "permit", "a bench")
        pull = registry.pull("large", student="bench/pupil", run="first")
        path = folder / "objects/sha256" / (digest := max(registry.store.list(), key=lambda item: item.size).digest)[:2] / digest
        return found.shards[0].partition(":")[2], pull.grant, path


@contextmanager
def plain(folder: Path) -> Iterator[str]:
    """Run `python -m http.server` over a folder; gives its address."""
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split("(")[1].split(")")[0]
    finally:
        process.terminate()
        process.wait()


def download(url: str, path: str, headers: dict[str, str]) -> int:
    """The number of bytes of an answer, which is read and thrown away."""
    connection = HTTPConnection(urlsplit(url).netloc)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise SystemExit(f"{url}{path}: expected 200, found {answer.status}: {answer.read(500)!r}")
        room, count = memoryview(bytearray(1 << 20)), 0
        while got := answer.readinto(room):
            count += got
        return count
    finally:
        connection.close()


if __name__ == "__main__":
    main()
