"""Appends statements until it is killed: the process that the fault tests shoot at.

    python -m tests.ledger.appender            a server: reads `FOLDER RUN FIRST SIZES` lines, forks an appender for each
    python -m tests.ledger.appender FOLDER RUN FIRST COUNT SIZES [NAME=VALUE…]      one appender, of COUNT statements

SIZES are the sizes of the batches, such as `1,4,2`, over and over. An appender prints `<number> <seq>` when a statement
is on record and not before; numbers go up from FIRST. The server prints the process id of each appender when it starts
and `end` when it has ended, and reads on then.
"""

import os
import stat
import sys
from itertools import count, cycle, islice
from pathlib import Path

from tests.ledger.world import NameRules, World, seqs


def append(folder: Path, run: str, first: int, sizes: list[int], limit: int | None = None, *settings: str) -> None:
    """Append statements of `run` from number `first` on, `limit` of them or for ever."""
    _leave_out_syncs({word.removeprefix("unsynced=") for word in settings if word.startswith("unsynced=")})
    create = not any((folder / name).exists() for name in ("ledger.db", "ledger.address"))
    world = World(folder, NameRules(), create=create)
    if "synchronous=off" in settings:
        with world.log.database.writing() as connection:
            connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql("PRAGMA synchronous=OFF")
    numbers = iter(count(first) if limit is None else range(first, first + limit))
    for size in cycle(sizes):
        batch = list(islice(numbers, size))
        if not batch:
            break
        results = seqs(world.log.append([world.numbered(number, run) for number in batch]))
        os.write(1, "".join(f"{number} {seq}\n" for number, seq in zip(batch, results, strict=True)).encode())
    world.log.close()


def _leave_out_syncs(of: set[str]) -> None:
    """Make `os.fsync` do nothing for `files` or for `folders`, as a product would that forgot it."""
    sync = os.fsync

    def incomplete(descriptor: int) -> None:
        if ("folders" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "files") not in of:
            sync(descriptor)

    os.fsync = incomplete  # type: ignore[assignment]


def serve() -> None:
    """Fork an appender for each line on stdin, one at a time."""
    for line in sys.stdin:
        folder, run, first, sizes = line.split()
        process = os.fork()
        if process == 0:
            append(Path(folder), run, int(first), _numbers(sizes))
            os._exit(0)
        os.write(1, f"pid {process}\n".encode())
        os.waitpid(process, 0)
        os.write(1, b"end\n")


def _numbers(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


if __name__ == "__main__":
    if len(sys.argv) == 1:
        serve()
    else:
        append(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), _numbers(sys.argv[5]), int(sys.argv[4]), *sys.argv[6:])
