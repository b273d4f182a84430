"""How much memory an import takes, whatever the size of its input.

    python bench/import_memory.py --size 10GB          imports a generated JSON Lines file into a new registry
    python bench/import_memory.py --size 2GB --array   the same records as one pretty-printed JSON array
    python bench/import_memory.py --jobs 1             in one process

Prints the resident memory of all processes of the import together, the highest so far at each tenth of the way, beside the 500 MB
that are allowed. The ratio it is about is highest / allowed. Pages that processes share are counted for each of them.
"""

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from inbond.registry.registry import Registry

ALLOWED = 500_000_000
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", default="2GB", help="of the input, such as 200MB (default: %(default)s)")
    parser.add_argument("--array", action="store_true", help="one JSON array instead of JSON Lines")
    parser.add_argument("--jobs", type=int, help="processes that convert (default: that of the import)")
    arguments = parser.parse_args()
    size = int(float(arguments.size[:-2]) * UNITS[arguments.size[-2:].upper()])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generated.jsonl"
        generate(path, size, arguments.array)
        print(f"input          {path.stat().st_size / 1e6:12,.0f} MB")
        meter = Meter()
        os.environ["INBOND_STATE"] = f"{folder}/state"
        with Registry.init(Path(folder) / "registry", "bench.example/memory") as registry:
            found = registry.import_files(
                "messages", [path], teacher="bench/model@1", dataset="made", create=True, progress=meter, jobs=arguments.jobs
            )
        print(f"records        {found.records:12,} in {len(found.shards)} shards")
    meter.report()
    return 0 if meter.highest <= ALLOWED else 1


def generate(path: Path, size: int, array: bool) -> None:
    """Conversations of 0.2 to 8 KB, a long one now and then, no two alike."""
    chance = random.Random(7)
    words = [f"w{number:x}" for number in range(5000)]
    texts = [" ".join(chance.choices(words, k=chance.randrange(20, 1500))) + " “é” \n" for _ in range(500)]
    texts[0] *= 100
    indent, joint = (2, ",\n") if array else (None, "\n")
    templates = [
        json.dumps({"messages": [{"role": "user", "content": "@@"}, {"role": "assistant", "content": text}]}, indent=indent)
        for text in texts
    ]
    parts = [template.partition("@@")[::2] for template in templates]

    def pieces() -> Iterator[bytes]:
        written = number = 0
        while written < size:
            before, after = parts[number % len(parts)]
            piece = f"{joint if number else ''}{before}question {number}{after}".encode()
            yield piece
            written += len(piece)
            number += 1

    with path.open("wb") as file:
        file.write(b"[\n" if array else b"")
        file.writelines(pieces())
        file.write(b"\n]\n" if array else b"\n")


class Meter:
    """Watches the resident memory of this process and its children; prints the highest so far at each tenth of the bytes read."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.highest = self._before = resident()
        self._size = 0
        self._tenth = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Take note of progress."""
        if what == "reading" and done * 10 // total > self._tenth:
            self._size, self._tenth = total, done * 10 // total
            print(
                f"at {self._tenth * 10:3} %       {resident() / 1e6:12.1f} MB resident, at most {self.highest / 1e6:.1f} so far",
                flush=True,
            )

    def report(self) -> None:
        """Print the time taken and the highest memory."""
        seconds = time.monotonic() - self.began
        print(f"time           {seconds:12.1f} s, {self._size / seconds / 1e6:.0f} MB/s")
        print(f"before         {self._before / 1e6:12.1f} MB")
        print(f"highest        {self.highest / 1e6:12.1f} MB, {self.highest / ALLOWED:.2f} of the {ALLOWED / 1e6:.0f} MB allowed")

    def _watch(self) -> None:
        while True:
            self.highest = max(self.highest, resident())
            time.sleep(0.05)


def resident() -> int:
    """Bytes resident now in this process and its children; the most that this one ever had where the system does not say."""
    try:
        lists = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
        return _resident("self") + sum(_resident(child) for children in lists for child in children)
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def _resident(process: str) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):  # it ended in between
        if process == "self":
            raise OSError("expected /proc, found none") from None
        return 0


if __name__ == "__main__":
    sys.exit(main())
