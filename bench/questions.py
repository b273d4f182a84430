"""How long questions about a student with many shards take, and how that grows with their number.

    python bench/questions.py [--shards 1000] [--rounds 9]

A student was given so many shards by two teachers; beside it a student of a tenth of them. Lineage and shares are asked as
the server's handlers ask, over HTTP (with the answer's bytes), and the report is made (model and HTML). Wanted for 1,000
shards: lineage under 30 ms at the server, a report under 2 s.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import httpx
from rich.console import Console
from rich.table import Table
from serving import served, taught, token

from inbond.registry.disclosure.rendering import html


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--shards", type=int, default=1000)
    options.add_argument("--rounds", type=int, default=9)
    given = options.parse_args()
    table = Table(title=f"milliseconds, median of {given.rounds} rounds")
    for column in ("question", "shards", "ms", "per shard µs"):
        table.add_column(column, justify="left" if column == "question" else "right")
    with tempfile.TemporaryDirectory(prefix="inbond-bench-") as name:
        for shards in (given.shards // 10, given.shards):
            os.environ["INBOND_STATE"] = f"{name}/{shards}/state"
            folder = Path(name) / str(shards) / "registry"
            folder.parent.mkdir()
            for question, took in _ask(folder, shards, given.rounds).items():
                table.add_row(question, str(shards), f"{1e3 * median(took):.1f}", f"{1e6 * median(took) / shards:.0f}")
            table.add_section()
    Console(width=100).print(table)
    print(f"{os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}")


def _ask(folder: Path, shards: int, rounds: int) -> dict[str, list[float]]:
    with taught(folder, shards) as registry, served(folder) as server:
        bearer = token(folder, "compliance")
        student = registry.resolve("bench/pupil", "student")
        path = f"/v1/students/{student.partition(':')[2]}"
        with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {bearer}"}) as client:

            def ask(what: str) -> bytes:
                answer = client.get(f"{path}/{what}")
                answer.raise_for_status()
                return answer.content

            questions: dict[str, Callable[[], object]] = {
                "lineage, in process": lambda: registry.place.lineage(student),
                "lineage, over HTTP": lambda: ask("lineage"),
                "shares, in process": lambda: registry.place.shares(student),
                "shares, over HTTP": lambda: ask("teachers"),
                "report, model and HTML": lambda: html(registry.place.report_model(student, "eu-summary", {})),
            }
            took: dict[str, list[float]] = {question: [] for question in questions}
            for turn in range(rounds + 1):
                for question, run in questions.items():
                    start = perf_counter()
                    run()
                    if turn:
                        took[question].append(perf_counter() - start)
    return took


if __name__ == "__main__":
    main()
