"""What does verification cost who reads a few columns? From this machine, over HTTP from a server of ours, and from S3.

    python bench/shard_ranges.py [--megabytes 200] [--rounds 7] [--memory 10]

Each place is read by pyarrow alone and by us, taking turns; ratios are of medians of wall time (and least processor time of this
process). Wanted: for one column in ten at most 1.4 times pyarrow on this machine, 1.15 times over HTTP and S3. The bytes fetched
are counted. S3 is moto, in a process of its own; pyarrow reads it with its own S3 client. Over HTTP pyarrow reads through the
same client as we do, range by range. What hashing alone costs is printed beside it: the blocks of a column, at this machine's
speed of SHA-256, which differs eightfold between processors with and without SHA instructions.

At last a shard of `--memory` gigabytes is written and read through `batches()`; peak resident memory is that of a process that
does nothing else.
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, cast

import httpx
import pyarrow.fs
import pyarrow.parquet as pq
from http_download import granted
from rich.console import Console
from rich.table import Table
from serving import peak_memory, served, token

from inbond.registry.places.remote_file import RemoteFile
from inbond.registry.places.transport import Transport
from inbond.registry.shards.blocks import BLOCK, block_hashes, block_root, join_hashes
from inbond.registry.shards.reader import ShardReader
from inbond.registry.shards.records import Record
from inbond.registry.shards.writer import write_shard
from inbond.registry.stores.bucket import Bucket, split_url
from inbond.registry.stores.folder import FolderStore

COLUMNS = {
    "two small": ["sample", "finish_reason"],
    "one in ten": ["record_id", "kind"],  # of 22 columns; random, so that nothing compresses away
    "response": ["response"],
}
_MOTO = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.disable()
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
Fetch = Callable[[int, int, Callable[[], bool]], bytes]


class Counting:
    """Ranges of a file, and how many bytes of it were asked for."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch, self.bytes, self.requests = fetch, 0, 0

    def __call__(self, first: int, last: int, unwanted: Callable[[], bool] = bool) -> bytes:
        """Bytes [first, last)."""
        self.bytes, self.requests = self.bytes + last - first, self.requests + 1
        return self._fetch(first, last, unwanted)


class Ranges(io.RawIOBase):
    """A file that asks for what is read of it and keeps nothing: what pyarrow alone reads through."""

    def __init__(self, fetch: Fetch, size: int) -> None:
        super().__init__()
        self._fetch, self._size, self._at = fetch, size, 0

    def read(self, size: int | None = -1) -> bytes:
        """As every file."""
        last = self._size if size is None or size < 0 else min(self._at + size, self._size)
        data = self._fetch(self._at, last, bool) if self._at < last else b""
        self._at = last
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As every file."""
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence] + offset
        return self._at

    def tell(self) -> int:
        """As every file."""
        return self._at

    def readable(self) -> bool:
        """As every file."""
        return True

    def seekable(self) -> bool:
        """As every file."""
        return True


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--megabytes", type=int, default=200, help="of text; the file is smaller")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--memory", type=float, default=0.3, help="gigabytes of the shard that is read in pieces")
    options.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.peak is not None:
        print_peak(given.peak)
        return
    with tempfile.TemporaryDirectory(prefix="inbond-bench-") as name, moto() as endpoint:
        os.environ["INBOND_STATE"] = f"{name}/state"
        folder = Path(name) / "served"
        shard, grant, path = granted(folder, given.megabytes)
        with served(folder) as server:
            compare(path, server.url, f"/v1/shards/{shard}/content", grant, token(folder, "trainer"), endpoint, given.rounds)
    memory(given.memory)


def compare(path: Path, url: str, content: str, grant: str, bearer: str, endpoint: str, rounds: int) -> None:
    """The table: each place, each choice of columns."""
    size, digest = path.stat().st_size, path.name
    with path.open("rb") as file:
        hashes = block_hashes(file)
    rows = pq.read_metadata(path).num_rows
    said: dict[str, Any] = {"digest": digest, "size": size, "block_root": block_root(hashes).hex(), "rows": rows}
    said |= {"record_root": "0" * 64, "leaf_hashes": join_hashes(hashes)}
    transport, params, tag = Transport(url, bearer), [("grant", grant)], f'"sha256-{digest}"'
    httpx.put(f"{endpoint}/bench").raise_for_status()
    bucket = Bucket(split_url("s3://bench/shards"))
    bucket.put("shard", path.read_bytes(), replace=True)
    there = pyarrow.fs.S3FileSystem(
        endpoint_override=endpoint.removeprefix("http://"),
        scheme="http",
        region="us-east-1",
        request_timeout=60,  # the server is one process of Python, which answers its many requests in turn
    )
    in_bucket = bucket.open("shard")
    over_http = Counting(lambda first, last, unwanted: transport.piece(content, params, (first, last), size, tag, unwanted))
    from_s3 = Counting(lambda first, last, _: in_bucket.read_at(first, last))  # type: ignore[attr-defined]

    def ours(source: Callable[[], Any], columns: list[str]) -> Callable[[], object]:
        def run() -> object:
            with ShardReader(source(), **said) as reader:
                return reader.read(columns)

        return run

    def plain(source: Callable[[], Any], columns: list[str]) -> Callable[[], object]:
        return lambda: pq.ParquetFile(source(), pre_buffer=True).read(columns=columns)

    def remote(fetch: Counting) -> Any:
        return cast(Any, RemoteFile(fetch, size))

    speed = sha_speed()
    table = Table(title=f"{rows} rows in a file of {size / 1e6:.1f} MB; {rounds} rounds; load {os.getloadavg()[0]:.1f}")
    for heading in (
        "columns",
        "place",
        "pyarrow ms",
        "ours ms",
        "ours / pyarrow",
        "by cpu",
        "fetched",
        "of file",
        "requests",
        "SHA ms",
    ):
        table.add_column(heading, justify="left" if heading in ("columns", "place") else "right")
    for what, columns in COLUMNS.items():
        counter = Counting(lambda first, last, _: b"")
        places: dict[str, tuple[Callable[[], object], Callable[[], object], Counting]] = {
            "here": (lambda c=columns: pq.ParquetFile(path).read(columns=c), ours(lambda: path.open("rb"), columns), counter),
            "HTTP": (plain(lambda: Ranges(over_http, size), columns), ours(lambda: remote(over_http), columns), over_http),
            "S3": (
                lambda c=columns: pq.read_table("bench/shards/shard", filesystem=there, columns=c, pre_buffer=True),
                ours(lambda: remote(from_s3), columns),
                from_s3,
            ),
        }
        for place, (alone, verified, count) in places.items():
            walls, processors = take_turns([alone, verified], rounds)
            count.bytes = count.requests = 0
            if count is counter:
                with path.open("rb") as file:
                    local = Counting(partial(_at, file.fileno()))
                    with ShardReader(remote(local), **said) as reader:
                        reader.read(columns)
                count.bytes, count.requests = local.bytes, local.requests
            else:
                verified()
            table.add_row(
                what,
                place,
                f"{median(walls[0]) * 1e3:.1f}",
                f"{median(walls[1]) * 1e3:.1f}",
                f"{median(b / a for a, b in zip(*walls, strict=True)):.2f}",
                f"{min(processors[1]) / min(processors[0]):.2f}",
                f"{count.bytes / 1e6:.2f} MB",
                f"{count.bytes / size:.1%}",
                str(count.requests),
                f"{count.bytes / speed / 1e3:.1f}",
            )
    console = Console(width=140)
    console.print(table)
    console.print(f"SHA-256 here: {speed:.0f} MB/s a core; {os.cpu_count()} cores")
    in_bucket.close()
    transport.close()


def _at(descriptor: int, first: int, last: int, _: object) -> bytes:
    return os.pread(descriptor, last - first, first)


def take_turns(ways: list[Callable[[], object]], rounds: int) -> tuple[list[list[float]], list[list[float]]]:
    walls: list[list[float]] = [[] for _ in ways]
    processors: list[list[float]] = [[] for _ in ways]
    for turn in range(rounds + 1):
        for number, run in enumerate(ways):
            wall, processor = perf_counter(), process_time()
            run()
            if turn:  # the first round warms caches and connections
                walls[number].append(perf_counter() - wall)
                processors[number].append(process_time() - processor)
    return walls, processors


def sha_speed() -> float:
    """Megabytes that one core hashes in a second, a block at a time."""
    block, took = os.urandom(BLOCK), []
    for _ in range(200):
        start = process_time()
        sha256(block).digest()
        took.append(process_time() - start)
    return BLOCK / median(took) / 1e6


def memory(gigabytes: float) -> None:
    """Write a shard of so many gigabytes, and print what reading it in pieces takes."""
    with tempfile.TemporaryDirectory(prefix="inbond-bench-") as folder:
        store = FolderStore(folder)

        def records() -> Iterator[Record]:
            for number in range(int(gigabytes * 1e9 / 4096)):
                yield Record((), (), os.urandom(3072).hex()[:6144] + str(number))

        written = write_shard(store, records())
        said = [written.digest, str(written.size), written.block_root, written.record_root, str(written.rows)]
        Path(folder, "said").write_text("\n".join(said))
        done = subprocess.run([sys.executable, __file__, "--peak", folder], check=True, capture_output=True, text=True)
        print(f"a shard of {written.size / 1e9:.2f} GB, {written.rows} rows, read in pieces: {done.stdout.strip()}")


def print_peak(folder: Path) -> None:
    digest, size, block_root_, record_root, rows = (folder / "said").read_text().split("\n")
    before = peak_memory(os.getpid())
    start, count = perf_counter(), 0
    with ShardReader(
        FolderStore(folder), digest=digest, size=int(size), block_root=block_root_, record_root=record_root, rows=int(rows)
    ) as reader:
        for table in reader.batches():
            count += table.num_rows
    assert count == int(rows)
    peak = peak_memory(os.getpid())
    print(f"peak resident memory {peak:.0f} MB ({before:.0f} MB before), {int(size) / 1e6 / (perf_counter() - start):.0f} MB/s")


@contextmanager
def moto() -> Iterator[str]:
    """An S3 server on this machine; this process' environment names it."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_REGION": "us-east-1"}
    command = [sys.executable, "-W", "ignore", "-c", _MOTO]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        address = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        os.environ["AWS_ENDPOINT_URL"] = address
        yield address
    finally:
        process.communicate("")


if __name__ == "__main__":
    main()
