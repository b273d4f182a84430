"""The server's log: JSON lines on stderr, one a request, and one for whatever nobody expected.

A line holds what the operator needs and nothing that a client chose freely: the route's template instead of the path, no
query, no header, no body, no token but its id. What is left of the client's (a well-formed request id, a known method) is
written as JSON, so no value can begin a line of its own.
"""

import logging
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Final

import msgspec

Write = Callable[[bytes], object]

_LONGEST: Final = 500
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"})
"""The methods that lines and metrics name; whatever else a client invents is `other`."""


def to_stderr(line: bytes) -> None:
    """Write one line to stderr, whole; a reader that has gone takes nothing with it."""
    try:
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
    except (OSError, ValueError):
        pass


@dataclass(slots=True)
class Seen:
    """What is known of a request by and by. `route` is the template, None where there is no such route."""

    id: str
    method: str
    route: str | None = None
    token: str | None = None
    party: str | None = None
    began: float = field(default_factory=perf_counter)


class RequestLog:
    """Writes lines of JSON."""

    def __init__(self, write: Write = to_stderr) -> None:
        self._write = write

    def request(self, seen: Seen, status: int) -> None:
        """One line for a request that was answered, or not (499: the client left)."""
        self._line(
            "error" if status >= 500 else "info",
            request=seen.id,
            method=seen.method if seen.method in METHODS else "other",
            route=seen.route,
            status=status,
            ms=round((perf_counter() - seen.began) * 1e3, 1),
            token=seen.token,
            party=seen.party,
        )

    def failure(self, seen: Seen | None, error: BaseException) -> None:
        """One line for an error that is ours to mend, with the places in the code that it came through."""
        first = _first(error)
        self._line(
            "error",
            request=seen.id if seen else None,
            error=f"{type(error).__name__}: {error}"[:_LONGEST],
            cause=f"{type(first).__name__}: {first}"[:_LONGEST] if first is not error else None,
            at=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(first.__traceback__)[-12:]],
        )

    def say(self, level: str, message: str) -> None:
        """One line of the server itself."""
        self._line(level, message=message)

    def _line(self, level: str, **fields: Any) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")[:23] + "Z"
        self._write(msgspec.json.encode({"time": time, "level": level, **fields}) + b"\n")


def _first(error: BaseException) -> BaseException:
    """What an error comes from: the end of its chain of causes, through groups of errors too."""
    for _ in range(20):
        if error.__cause__ is not None:
            error = error.__cause__
        elif isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        else:
            break
    return error


class Handler(logging.Handler):
    """What libraries say through `logging`, as lines of the same log."""

    def __init__(self, log: RequestLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self._log.say(record.levelname.lower(), record.getMessage())
        if record.exc_info and record.exc_info[1]:
            self._log.failure(None, record.exc_info[1])
