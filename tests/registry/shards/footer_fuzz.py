"""Shards with altered footers and page headers, signed as they are: a process of its own, in which pyarrow may end.

    python -m tests.registry.shards.footer_fuzz SEED INPUTS [SECONDS]

Prints how many inputs were read and refused. An error that is not ours ends it; the input under way is in the file `last-input`
of its folder, whose path is printed first, so that one that ends the process can be looked at.
"""

import mmap
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

from inbond.registry.shards.blocks import block_root, join_hashes, leaves_of
from inbond.registry.shards.logits_reader import LogitsReader
from inbond.registry.shards.logits_writer import LogitsWriter
from inbond.registry.shards.reader import ShardReader
from inbond.registry.shards.records import Message, Record
from inbond.registry.shards.thrift import unsigned, varint
from inbond.registry.shards.writer import write_shard
from inbond.registry.stores.folder import FolderStore
from inbond.schemas.errors import InvalidInput, VerificationError
from tests.registry.shards.distributions import codec, drawn

ROWS = 12
INTERESTING = [0, 1, 2, 3, 6, 7, 8, 12, 13, 127, 128, 255, 1 << 14, (1 << 31) - 1, 1 << 31, 1 << 32, (1 << 62) - 1, (1 << 63) - 1]

Open = Callable[[bytes], Any]


def shards(folder: Path) -> list[tuple[bytes, Open]]:
    """A text shard and a logits shard, each with how bytes in its place are opened."""
    store = FolderStore(folder / "objects")
    prompt = (Message("user", "q"),)
    texts = [Record(prompt, (), "a" * n, input_ids=(n, 2), prompt_tokens=n, created_at=n) for n in range(ROWS)]
    text = write_shard(store, texts, metadata={"inbond.origin": "example.org"})
    with LogitsWriter(store, codec(), metadata={"inbond.origin": "example.org"}) as writer:
        for number in range(ROWS):
            writer.add(bytes([number]) * 32, drawn(number))
        logits = writer.finish()
    assert logits is not None

    def opening(kind: type[Any], record_root: str, **more: Any) -> Open:
        def opened(data: bytes) -> Any:
            hashes = leaves_of(data)
            said = {"digest": "0" * 64, "size": len(data), "block_root": block_root(hashes).hex(), "record_root": record_root}
            return kind(BytesIO(data), **said, rows=ROWS, leaf_hashes=join_hashes(hashes), **more)

        return opened

    return [
        (store.get(text.digest), opening(ShardReader, text.record_root)),
        (store.get(logits.digest), opening(LogitsReader, logits.record_root, codec=codec())),
    ]


def altered(data: bytes, chance: random.Random) -> bytes:
    """`data` with one to three changes, mostly in its footer, whose declared length follows."""
    at = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    body, footer = bytearray(data[:at]), bytearray(data[at:-8])
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        if chance.random() < 0.85:
            change(footer, chance)
        else:
            place = chance.randrange(4, len(body))
            body[place] = chance.choice((body[place] ^ 1 << chance.randrange(8), chance.randrange(256)))
    return bytes(body) + bytes(footer) + len(footer).to_bytes(4, "little") + b"PAR1"


def change(part: bytearray, chance: random.Random) -> None:
    """One change: a bit, a byte, an integer, bytes that go, come or are those of another place."""
    at = chance.randrange(len(part))
    match chance.randrange(7):
        case 0:
            part[at] ^= 1 << chance.randrange(8)
        case 1:
            part[at] = chance.randrange(256)
        case 2 | 3:
            with suppress(IndexError, KeyError):
                _, end = unsigned(bytes(part), at)
                value = chance.getrandbits(chance.choice((7, 14, 32, 63)))
                part[at:end] = varint(chance.choice((*INTERESTING, value, value)))
        case 4:
            del part[at : at + chance.choice((1, 1, 2, 5, 40))]
        case 5:
            part[at:at] = chance.randbytes(chance.choice((1, 1, 2, 5)))
        case 6:
            size, other = chance.choice((1, 2, 4, 20, 60)), chance.randrange(len(part))
            part[at : at + size] = part[other : other + size]


def main(seed: int, inputs: int, seconds: float) -> None:
    """Alter, open, read, again and again."""
    chance, found, ends = random.Random(seed), Counter[str](), time.process_time() + seconds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = shards(folder)
        with (folder / "last-input").open("w+b") as file:
            file.truncate(1 << 20)
            print(file.name, flush=True)
            last = mmap.mmap(file.fileno(), 1 << 20)
            while found.total() < inputs and time.process_time() < ends:
                data, opened = made[found.total() % 2]
                data = altered(data, chance)
                last[: len(data) + 8] = len(data).to_bytes(8, "little") + data
                try:
                    with opened(data) as reader:
                        reader.read()
                        reader.check_records()
                    found["read"] += 1
                except (VerificationError, InvalidInput):
                    found["refused"] += 1
    print(f"{found.total()} inputs: {found['refused']} refused, {found['read']} read")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else 3600)
