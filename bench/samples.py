"""Text for the benches: real answers where a folder is given, else generated ones that compress about as well."""

import random
from itertools import cycle
from pathlib import Path

import msgspec

from inbond.registry.shards.records import Message, Record


def text_records(folder: Path | None, megabytes: int) -> tuple[list[Record], int]:
    """Shuffled records of about so many megabytes of text, and the number of bytes."""
    pairs = _read(folder) if folder else _generate()
    records: list[Record] = []
    size = 0
    for copy, (prompt, response) in enumerate(cycle(pairs)):
        if size >= megabytes * 1_000_000:
            break
        # A number makes each prompt its own; responses repeat farther apart than zstd looks back.
        text = f"{prompt}\n({copy})"
        records.append(Record((Message("user", text),), (), response))
        size += len(text.encode()) + len(response.encode())
    return records, size


def _read(folder: Path) -> list[tuple[str, str]]:
    rows = [row for path in sorted(folder.glob("*.json")) for row in msgspec.json.decode(path.read_bytes())]
    if not rows:
        raise SystemExit(f"expected JSON arrays in {folder}, found none")
    pairs = [(row["instruction"], row["output"]) for row in rows]
    random.Random(1).shuffle(pairs)
    return pairs


def _generate() -> list[tuple[str, str]]:
    chance = random.Random(1)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 9))) for _ in range(4_000)]
    weights = [1 / rank for rank in range(1, len(words) + 1)]

    def text(length: int) -> str:
        return " ".join(chance.choices(words, weights, k=length))

    return [(text(30), text(chance.randint(20, 400))) for _ in range(10_000)]
