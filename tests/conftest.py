"""Fixtures for all tests: where third-party vectors and sample data lie, when this machine has them."""

import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("inbond", deadline=None)  # how long an example takes says something about the machine
settings.load_profile("inbond")

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes that tests start compile what they import once


def _in_memory(folder: str = "/dev/shm", needed: int = 4 << 30) -> bool:
    """Whether this machine has a file system in memory with room for a whole run, on which programs may lie."""
    if "TMPDIR" in os.environ or not os.access(folder, os.W_OK):
        return False
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize >= needed and not found.f_flag & os.ST_NOEXEC


if _in_memory():  # thousands of small logs wait for a disk at every sync; no test pulls the plug of the machine
    os.environ["TMPDIR"] = tempfile.tempdir = "/dev/shm"


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count the faults that were injected and did fire, by call and kind."""
    passed = [
        report for reports in terminalreporter.stats.values() for report in reports if isinstance(report, pytest.TestReport)
    ]
    found = [value for report in passed if report.when == "call" for name, value in report.user_properties if name == "injected"]
    if not found:
        return
    fired: Counter[tuple[str, str]] = Counter()
    for call, kind, count in found:
        fired[call, kind] += count
    calls, kinds = sorted({call for call, _ in fired}), sorted({kind for _, kind in fired})
    width = max(map(len, [*calls, "sum"]))
    terminalreporter.section("faults that fired")
    terminalreporter.line(" ".join([" " * width, *kinds, "sum"]))
    for call in [*calls, "sum"]:
        counts = [sum(fired[each, kind] for each in (calls if call == "sum" else [call])) for kind in kinds]
        cells = [f"{count:>{len(kind)}}" for count, kind in zip(counts, kinds, strict=True)]
        terminalreporter.line(" ".join([f"{call:<{width}}", *cells, f"{sum(counts):>5}"]))
