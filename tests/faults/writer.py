"""The process whose system calls fail: appends, closes and opens again, and says what became of it.

    python -m tests.faults.writer        stdin is one end of a SOCK_SEQPACKET pair: a message in, answers out

A message `{"folder", "first", "last"}` makes it fork a writer; `{"pid"}` is the answer. The writer waits for a message of
any content (strace is attached meanwhile), works, and says `{"on": [[number, seq], …]}` when statements are on record,
`{"head": [size, root]}` of the heads that it saw, `{"refused": message}` of errors that are ours, `{"escaped": traceback}`
of all others. `{"end": wait status}` is the last word about it. Everything goes over a socket, because sending is none of
the calls that are made to fail.
"""

import json
import os
import socket
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from inbond.schemas.errors import InbondError
from tests.ledger.world import World, seqs

BATCHES = (2, 1, 3)
"""The sizes of the batches between an opening of the log and its closing."""

GIVES_UP = 12
"""As many refusals in a row end a writer."""

Say = Callable[..., None]


def work(folder: Path, first: int, last: int, say: Say) -> None:
    """Append statements `first` to `last - 1`, opening the log anew after a few of them and after every refusal."""
    refusals = 0
    while first < last and refusals < GIVES_UP:
        try:
            world = opened(folder)
            try:
                for size in BATCHES:
                    numbers = list(range(first, min(first + size, last)))
                    if numbers:
                        results = seqs(world.log.append([world.numbered(number) for number in numbers]))
                        say(on=list(zip(numbers, results, strict=True)))
                        first, refusals = numbers[-1] + 1, 0
                        seen = world.seen()
                        say(head=[seen.size, seen.root.removeprefix("sha256:")])
            finally:
                world.log.close()
        except InbondError as error:
            refusals += 1
            say(refused=error.message)


def opened(folder: Path) -> World:
    """The log in `folder`, which is made where it is not there, with its producer enrolled."""
    there = any((folder / name).exists() for name in ("ledger.db", "ledger.address"))
    world = World(folder, create=not there)
    try:
        with world.log.reading() as reader:
            size = reader.size
        if size == 1:  # its maker died, or was refused, between genesis and the first key
            world.log.append_one(world.enrol(world.producer))
    except BaseException:
        world.log.close()
        raise
    return world


def serve(line: socket.socket) -> None:
    """Fork a writer for each message, one at a time."""
    _warm_up()
    while message := line.recv(1 << 16):
        asked = json.loads(message)
        process = os.fork()
        if process == 0:
            line.recv(1 << 16)
            _run(line, Path(asked["folder"]), asked["first"], asked["last"])
        line.send(json.dumps({"pid": process}).encode())
        line.send(json.dumps({"end": os.waitpid(process, 0)[1]}).encode())


def _run(line: socket.socket, folder: Path, first: int, last: int) -> None:
    def say(**words: object) -> None:
        line.send(json.dumps(words).encode())

    try:
        work(folder, first, last, say)
    except BaseException:
        say(escaped=traceback.format_exc()[-20_000:])
    os._exit(0)


def _warm_up() -> None:
    """Import whatever is imported late: a module that cannot be read is not the fault that is looked for."""
    with tempfile.TemporaryDirectory() as folder:
        before, os.environ["INBOND_STATE"] = os.environ["INBOND_STATE"], folder + "/state"
        work(Path(folder) / "log", 0, sum(BATCHES), lambda **_: None)
        with suppress(InbondError):
            World(Path(folder) / "none", create=False)
        os.environ["INBOND_STATE"] = before


if __name__ == "__main__":
    serve(socket.socket(fileno=os.dup(0)))
