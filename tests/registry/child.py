"""What a test's other processes do. Imported by them alone, so it imports little."""

import os
from typing import Any

from inbond.registry.registry import Registry


def run_import(folder: str, state: str, file: str, teacher: str, dataset: str, max_rows: int, started: Any, go: Any) -> None:
    """Open the registry, say so, wait until it may go on, and import a `messages` file."""
    os.environ["INBOND_STATE"] = state
    with Registry.open(folder) as registry:
        started.set()
        go.wait()
        registry.import_files("messages", [file], teacher=teacher, dataset=dataset, max_rows=max_rows)
