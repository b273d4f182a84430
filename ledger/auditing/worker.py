"""A worker process: tasks come on standard input, answers go to standard output, each after its length in four bytes."""

import gc
import os
import sys
from typing import IO

import msgspec

from inbond.ledger.auditing.examining import Examine, Examined, Keys, examine
from inbond.ledger.auditing.heads import Heads, HeadsFound, find_heads
from inbond.ledger.keys import PublicKey

Task = Examine | Heads


class Order(msgspec.Struct, frozen=True):
    """A task, and the public keys that have become known since the worker's last one."""

    task: Task
    keys: list[bytes]


def perform(order: Order, keys: Keys) -> Examined | HeadsFound:
    """Do one task."""
    for raw in order.keys:
        keys.add(PublicKey(raw))
    return examine(order.task, keys) if isinstance(order.task, Examine) else find_heads(order.task)


def main() -> None:
    """Work until there is nothing more to do."""
    incoming, outgoing = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing that prints gets between the answers
    gc.disable()  # what an examination leaves behind has no cycles
    keys, decoder, encoder = Keys(), msgspec.msgpack.Decoder(Order), msgspec.msgpack.Encoder()
    while (data := read_frame(incoming)) is not None:
        write_frame(outgoing, encoder.encode(perform(decoder.decode(data), keys)))


def read_frame(file: IO[bytes]) -> bytes | None:
    """The next frame; None where the other side has gone."""
    head = file.read(4)
    size = int.from_bytes(head, "big")
    data = file.read(size) if len(head) == 4 else b""
    return data if len(head) == 4 and len(data) == size else None


def write_frame(file: IO[bytes], data: bytes) -> None:
    """Write one frame."""
    file.write(len(data).to_bytes(4, "big"))
    file.write(data)
    file.flush()


if __name__ == "__main__":
    main()
