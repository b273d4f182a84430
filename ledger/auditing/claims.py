"""What is said of the log's roots: by signers (`header.seen`), by checkpoints, by an earlier audit.

Most of it is about sizes close by. For these the workers get a stretch of leaf hashes; what is further back is computed
from tiles, which are held to the hashes of the level above as the audit has made them.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from inbond.ledger.auditing.heads import Heads, HeadsFound
from inbond.ledger.auditing.report import AuditReport
from inbond.ledger.auditing.tree import Tree
from inbond.ledger.cosignatures import NO_ML_DSA
from inbond.ledger.keys import VerifierKey
from inbond.ledger.logkeys import LogKeys
from inbond.ledger.sources import Source
from inbond.schemas.errors import VerificationError

_STRETCHES = 8
_ROOTS = 100_000

Note = tuple[int, bytes]
"""The size under which a checkpoint is kept, and its note."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody says that the log had a root at a size. `what` begins the message where it had another, `why` ends it."""

    size: int
    root: bytes
    what: str
    why: str = ""

    def check(self, root: bytes) -> None:
        """Raise VerificationError unless `root` is the one."""
        if root != self.root:
            raise VerificationError(
                f"{self.what}: at size {self.size} expected this log's root {root.hex()}, found {self.root.hex()}{self.why}"
            )


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Leaf hashes from `start` on, and the compact range before them."""

    start: int
    range: list[bytes]
    leaves: bytes


class Claims:
    """Checks what is claimed, some of it later: `settle` waits for what is under way."""

    def __init__(
        self, source: Source, tree: Tree, log_keys: LogKeys, others: Sequence[VerifierKey], origin: str, report: AuditReport
    ) -> None:
        self._source, self._tree, self._log_keys, self._others = source, tree, log_keys, list(others)
        self._origin, self._report = origin, report
        self._stretches: deque[_Stretch] = deque(maxlen=_STRETCHES)
        self._roots: dict[int, bytes] = {}
        self._asked: deque[tuple[Heads, list[VerifierKey], list[Claim], Future[HeadsFound]]] = deque()
        self._before = tree.size

    def take(
        self,
        start: int,
        before: list[bytes],
        leaves: bytes,
        claims: Iterable[Claim],
        notes: Sequence[Note],
        submit: Callable[[Heads], "Future[HeadsFound]"],
    ) -> None:
        """Take in leaf hashes from `start` on (`before` is the compact range there), claims, and checkpoints of these sizes."""
        self._stretches.append(_Stretch(start, before, leaves))
        asked: dict[int, list[Claim]] = {}
        last = len(self._stretches) - 1
        for claim in claims:
            root = self._roots.get(claim.size)
            near = self._stretch_of(claim.size)
            if root is None and near is None:
                root = self._roots[claim.size] = self._tree.root_at(claim.size, lambda n: self._source.tile(0, n))
            if root is not None:
                claim.check(root)
            elif near is not None:
                asked.setdefault(near, []).append(claim)
        keys = [*self._log_keys.since, *self._others]
        for near in sorted(asked | ({last: []} if notes else {})):
            some, stretch = asked.get(near, []), self._stretches[near]
            sizes = sorted({claim.size for claim in some})
            texts = [key.format() for key in keys] if near == last and notes else []
            checked = list(notes) if near == last else []
            task = Heads(stretch.start, stretch.range, stretch.leaves, sizes, checked, texts, self._origin)
            self._asked.append((task, keys, some, submit(task)))

    def _stretch_of(self, size: int) -> int | None:
        """Which stretch ends with a size or reaches beyond it; None where the size is further back."""
        for at in reversed(range(len(self._stretches))):
            if self._stretches[at].start < size:
                return at
        return None

    def settle(self, most: int = 0) -> None:
        """Wait until at most so many tasks are under way; raises VerificationError for the first claim that is wrong."""
        while len(self._asked) > most:
            task, keys, claims, future = self._asked.popleft()
            found = future.result()
            self._roots.update(found.roots)
            for claim in claims:
                claim.check(found.roots[claim.size])
            for (size, _), signed in zip(task.notes, found.signed, strict=False):
                self._log_keys.check(size, [keys[at] for at in signed], self._before)
                self._before = size
                self._report.checkpoints += 1
            if found.problem is not None:
                raise VerificationError(found.problem)
            for vkey in found.unsupported:
                self._report.not_checked(not_supported(VerifierKey.parse(vkey)))
        while len(self._roots) > _ROOTS:
            del self._roots[next(iter(self._roots))]


def not_supported(key: VerifierKey) -> str:
    """What to say of signatures that cannot be verified here."""
    return f"signatures by {key.name}+{key.key_id.hex()}: {NO_ML_DSA}"
