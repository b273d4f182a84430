"""What stopped a command, in the words of the person who typed it: a full disk, an argument, an interrupt."""

import errno
import os
from collections.abc import Iterator, Sequence

from inbond.schemas.errors import InbondError, InvalidInput, StoreError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_SQLITE_FULL = 13
_MAKE_ROOM = "free some space, then repeat the command: what is on record is not doubled"


def explained(error: Exception, words: Sequence[str]) -> InbondError:
    """Any exception as an error of ours; what nobody expected asks to be reported. `words` are what was typed."""
    if isinstance(error, InbondError):
        return _with_room(error)
    if isinstance(error, OSError):
        return _with_room(_of_the_system(error))
    if isinstance(error, UnicodeEncodeError) and (wrong := [word for word in words if not _is_text(word)]):
        return InvalidInput(f"expected arguments in UTF-8, found {wrong[0]!r}")
    text = str(error).replace("\n", " ")
    hint = "INBOND_DEBUG=1 shows where; please report it with the command that you typed"
    return InbondError(f"unexpected {type(error).__name__}: {text}", hint=hint)


def interrupted(command: str | None, words: Sequence[str]) -> str:
    """What an interrupt leaves behind, and how to go on."""
    if command == "import":
        return "interrupted: what is on record stays, and the same command goes on from there"
    if command == "pull" and any(_is_option(word, "--to") for word in words):
        return "interrupted: what is on record stays; the next pull needs another --to DIR"
    if command == "pull":
        file = ", into another --out FILE" if any(_is_option(word, "--out") for word in words) else ""
        return f"interrupted: the next pull of this run goes on at the segment that was cut short{file}"
    return "interrupted"


def _of_the_system(error: OSError) -> InbondError:
    reason = error.strerror or str(error) or type(error).__name__
    named = error.filename
    where = f"{os.fsdecode(named)}: " if isinstance(named, str | bytes | os.PathLike) else ""
    failed = StoreError(f"{where}{reason}")
    failed.__cause__ = error
    return failed


def _with_room(error: InbondError) -> InbondError:
    if any(_wants_room(each) for each in _causes(error)):
        error.hint = _MAKE_ROOM
    return error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it; a context that `from None` hides leads to it all the same."""
    met: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in met:
        met.append(at)
        yield at
        at = at.__cause__ or at.__context__


def _wants_room(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == _SQLITE_FULL


def _is_option(word: str, name: str) -> bool:
    return word == name or word.startswith(f"{name}=")


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True
