"""Answers that a server computes: each about what was asked, as of a tree size that is proved to exist."""

from typing import Any, TypeVar

from inbond.registry.places.finding import REF, find
from inbond.registry.places.transport import Params, Transport
from inbond.registry.places.trust import Trust
from inbond.schemas.errors import InbondError, NotFound, VerificationError
from inbond.schemas.kinds import KINDS

A = TypeVar("A")


class Answers:
    """Asks one server, and holds its answers to what can be checked of them."""

    def __init__(self, transport: Transport, trust: Trust) -> None:
        self._transport, self._trust = transport, trust

    def ref(self, text: str, *kinds: str, size: int | None = None) -> str:
        """`text` where it is a reference to one of `kinds`, else what it names."""
        match = REF.fullmatch(text)
        if match is not None and match[1] in (kinds or KINDS):
            return text
        return find(self._transport, self._trust, text, kinds, size)

    def about(self, start: str, field: str, path: str, type: type[A], params: Params = (), size: int | None = None) -> A:
        """An answer that says in `field` what it is about."""
        found = self.asked(path, type, params, size)
        self._expect_about(found, start, field, path)
        return found

    def asked(self, path: str, type: type[A], params: Params = (), size: int | None = None) -> A:
        """An answer as of a tree size: the one that was asked for, or one not older than the newest head seen before."""
        least = self._least()
        return self._expect_size(self._transport.json(path, type, [*params, *as_of(size)]), path, size, least)

    def posted(self, start: str, field: str, path: str, body: bytes, type: type[A]) -> A:
        """The same where the question is a body of JSON; nothing is recorded. Raises what the server refuses it for."""
        least = self._least()
        answer = self._transport.post(path, body, type)
        if isinstance(answer, InbondError):
            raise answer
        found = self._expect_size(answer[1], path, None, least)
        self._expect_about(found, start, field, path)
        return found

    def _least(self) -> int:
        """The size of the newest head seen before."""
        seen = self._trust.heads.read()
        return 0 if seen is None else self._trust.heads.open(seen).size

    def _expect_size(self, found: A, path: str, size: int | None, least: int) -> A:
        stated: int = found.tree_size  # type: ignore[attr-defined]
        if size is not None and stated != size:
            raise VerificationError(f"the server's answer to {path}: expected one as of size {size}, found {stated}")
        strange = VerificationError(f"the server's answer to {path}: expected one as of a size from {least} on, found {stated}")
        if size is None and stated < least:
            raise strange
        try:
            self._trust.heads.reach(stated)
        except NotFound:
            raise strange from None
        return found

    def _expect_about(self, found: Any, start: str, field: str, path: str) -> None:
        if getattr(found, field) != start:
            raise VerificationError(f"the server's answer to {path}: expected one about {start}, found one about another thing")


def as_of(size: int | None) -> Params:
    """The query parameter that asks for an answer as of a size."""
    return [] if size is None else [("as_of", str(size))]
