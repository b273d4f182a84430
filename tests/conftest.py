"""Fixtures for all tests: where third-party vectors and sample data lie, when this machine has them."""

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


@pytest.fixture(scope="session")
def shared_vectors() -> Path:
    """The folder of third-party vectors: INBOND_VECTORS, else ../shared/vectors beside the repository."""
    return _folder("INBOND_VECTORS", "vectors")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of sample teacher outputs: INBOND_DATA, else ../shared/data beside the repository."""
    return _folder("INBOND_DATA", "data")


def _folder(variable: str, name: str) -> Path:
    named = os.environ.get(variable)
    folder = Path(named) if named else SHARED / name
    if not folder.is_dir():
        pytest.skip(f"no folder {name}: neither {variable} nor ../shared/{name} names one")
    return folder
