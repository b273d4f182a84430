"""Requests that failed at the source: counted as generated and not kept, which is no fault of the file."""

from typing import NoReturn

from inbond.registry.importers.fields import Fault, Fields

FAILED = "failed-request"
UNANSWERED = "unanswered-request"
"""A request of a batch to which no file has an answer, nor an error: whether it was ever worked on is not known."""


def failed(field: str, found: str) -> NoReturn:
    """Raise the Fault of a request that has no answer."""
    raise Fault(FAILED, field, "an answer", found[:200])


def refuse_error(fields: Fields, name: str = "error") -> None:
    """Raise it where an object holds an error that is not null."""
    if fields.known(name):
        error = fields.peek(name) or b""
        failed(fields.at(name), error.decode(errors="backslashreplace"))
