"""Keeps the matrix library of numpy on one thread while the demo's models work.

The matrices of the demo are small. A second thread gains little on an idle machine, makes every product wait on a
busy one (the library spins while it waits), and would let the weights depend on how many cores there are.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

_NAMES = ("openblas_{}_num_threads", "openblas_{}_num_threads64_")


@contextmanager
def one_thread() -> Iterator[None]:
    """Within, numpy multiplies matrices on one thread; afterwards on as many as before. Also usable as a decorator.

    It works for the OpenBLAS that comes inside the numpy wheels; with another library it changes nothing.
    """
    switches = _switches()
    before = [ask() for ask, _ in switches]
    for _, tell in switches:
        tell(1)
    try:
        yield
    finally:
        for (_, tell), count in zip(switches, before, strict=True):
            tell(count)


@cache
def _switches() -> tuple[tuple[Callable[[], int], Callable[[int], object]], ...]:
    """For each OpenBLAS of numpy, what asks for and what sets its number of threads."""
    package = Path(np.__file__).parent
    found = []
    for path in sorted({*(package.parent / "numpy.libs").glob("*openblas*"), *(package / ".dylibs").glob("*openblas*")}):
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            continue
        for name in (prefix + name for prefix in ("scipy_", "") for name in _NAMES):
            if hasattr(library, name.format("get")) and hasattr(library, name.format("set")):
                found.append((getattr(library, name.format("get")), getattr(library, name.format("set"))))
                break
    return tuple(found)
