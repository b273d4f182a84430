"""Exports of small datasets: what their folders hold."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.registry.world import World

Export = Callable[..., Path]


@pytest.fixture
def exported(shared_world: World, tmp_path: Path) -> Export:
    """Exports a dataset in a format; its folder."""

    def export(dataset: str, format: str, split: str | None = None, **options: str) -> Path:
        folder = tmp_path / f"{dataset}-{format}-{len(list(tmp_path.iterdir()))}"
        shared_world.registry.export_dataset(dataset, folder, format=format, split=split, format_options=options)
        return folder

    return export


def import_lines(world: World, folder: Path, name: str, lines: list[Any], format: str = "messages") -> str:
    """A dataset of these lines."""
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    world.registry.import_files(format, [file], teacher="acme/base@1", dataset=name)
    return name
