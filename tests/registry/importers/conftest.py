import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inbond.registry.importers import Input, Rejected, importer
from inbond.registry.importers.observed import Observed
from inbond.registry.shards.records import Record

Import = Callable[..., list[Record | Observed | Rejected]]


@pytest.fixture
def run_import(tmp_path: Path) -> Import:
    """Import what is given, one input each: bytes as they are, a list of values as JSON Lines."""

    def run(name: str, *contents: bytes | list[Any], **options: str) -> list[Record | Observed | Rejected]:
        inputs = []
        for number, content in enumerate(contents):
            path = tmp_path / f"{number}.json"
            path.write_bytes(content if isinstance(content, bytes) else "\n".join(map(json.dumps, content)).encode())
            inputs.append(Input(path))
        return list(importer(name).records(inputs, options))

    return run
