"""Logs as files, made by hand: whatever entries a test likes, in one chain and tree, under a checkpoint that is signed."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from inbond.ledger import checkpoints, merkle, submission
from inbond.ledger.checkpoints import Checkpoint, LogSigner
from inbond.ledger.entries import parse_entry
from inbond.ledger.tiles import TILE_WIDTH, TileName, bundles_of, encode_bundle, tiles_of, updated_tiles
from inbond.schemas.entry import GENESIS_PREV, Envelope
from tests.ledger.world import World

NOW = "2026-11-21T12:00:00.000Z"


def placed(envelopes: Sequence[Envelope | tuple[Envelope, str]], after: Sequence[bytes] = ()) -> list[bytes]:
    """Entries `after`, and then one for each envelope (at a time of its own where one is given), nobody asked."""
    entries = list(after)
    moment = parse_entry(entries[-1]).time if entries else NOW
    for each in envelopes:
        envelope, moment = each if isinstance(each, tuple) else (each, moment)
        prev = merkle.leaf_hash(entries[-1]) if entries else bytes.fromhex(GENESIS_PREV)
        entries.append(submission.prepare(envelope, lambda _, __: None).placed(prev, len(entries), moment))
    return entries


def publish(folder: Path, entries: Sequence[bytes], keys: Sequence[LogSigner], *, bundles: bool = True) -> Path:
    """Write a log of `entries` as `export` would, its checkpoint signed by `keys`."""
    leaves = [merkle.leaf_hash(data) for data in entries]
    tiles: dict[tuple[int, int], bytes] = {}
    for level, n, data in updated_tiles(0, lambda level, n: tiles[level, n], leaves):
        tiles[level, n] = data
    for name in tiles_of(len(entries)):
        write(folder, name, tiles[name.level or 0, name.n])
    for name in bundles_of(len(entries)) if bundles else ():
        write(folder, name, encode_bundle(entries[TILE_WIDTH * name.n : TILE_WIDTH * name.n + name.width]))
    note = checkpoints.sign(Checkpoint(keys[0].name, len(entries), merkle.root_of(leaves)), keys, time=1)
    (folder / "checkpoint").write_bytes(note)
    return folder


def write(folder: Path, name: TileName, data: bytes) -> None:
    path = folder / name.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def long_entries(world: World, count: int) -> list[bytes]:
    """The entries of a world's log and party statements after them, `count` in all, signed but never appended."""
    entries = world.entries()
    return placed([world.numbered(number) for number in range(count - len(entries))], entries)


Answer = Callable[[BaseHTTPRequestHandler, bytes | None], None]
"""Answers a request, given the bytes of the file that it names, None where there is none."""


def plainly(handler: BaseHTTPRequestHandler, data: bytes | None) -> None:
    """As a web server over the folder would."""
    handler.send_response(404 if data is None else 200)
    handler.send_header("Content-Length", str(len(data or b"")))
    handler.end_headers()
    handler.wfile.write(data or b"")


def gzipped(handler: BaseHTTPRequestHandler, data: bytes | None) -> None:
    """Compressed, whether that was asked for or not."""
    if data is None:
        return plainly(handler, data)
    packed = gzip.compress(data)
    handler.send_response(200)
    handler.send_header("Content-Encoding", "gzip")
    handler.send_header("Content-Length", str(len(packed)))
    handler.end_headers()
    handler.wfile.write(packed)
    return None


@contextmanager
def served(folder: Path, answer: Answer = plainly, prefix: str = "") -> Iterator[str]:
    """The address of a server that answers for the files in `folder`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = folder / self.path.removeprefix(prefix + "/")
            there = self.path.startswith(prefix + "/") and path.is_file()
            try:
                answer(self, path.read_bytes() if there else None)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, format: str, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def never_ending(handler: BaseHTTPRequestHandler, data: bytes | None) -> None:
    """Bytes for as long as somebody reads."""
    handler.send_response(200)
    handler.end_headers()
    handler.close_connection = True
    while True:
        handler.wfile.write(bytes(1 << 16))


def dripping(handler: BaseHTTPRequestHandler, data: bytes | None) -> None:
    """A byte of a header every now and then."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(200):
        handler.wfile.write(b"a")
        handler.wfile.flush()
        time.sleep(0.05)
