"""The ways from a teacher to the students below it: how far, how sure, by which runs, and which of its shards took them.

Pure functions over the links that `spread` found; a circle of models ends where it began.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from inbond.registry.spread import Link, Taken

Below = Mapping[str, list[Link]]
"""Links by where they start: what came from each model in one step."""


@dataclass(frozen=True, slots=True)
class Way:
    """How `student` came from `teacher`, over all ways that there are.

    `steps` are its own last ones: from the teacher itself where it read from that (`is_direct`), else from whatever lies
    between. `shards` are those of the teacher whose rows reached it; `is_whole` says that nothing else did: no weights, and
    nothing that somebody claims.
    """

    student: str
    teacher: str
    depth: int
    is_recorded: bool
    is_direct: bool
    steps: tuple[Link, ...]
    shards: tuple[str, ...]
    is_whole: bool

    def taken(self) -> list[Taken]:
        """What its runs were given in its last steps."""
        return [taken for step in self.steps for taken in step.taken.values()]

    def runs(self) -> tuple[str, ...]:
        """The runs of its last steps."""
        return tuple(dict.fromkeys(run for step in self.steps for run in step.runs))


def below(links: Iterable[Link]) -> dict[str, list[Link]]:
    """The links by where they start."""
    found: dict[str, list[Link]] = {}
    for link in links:
        found.setdefault(link.dst, []).append(link)
    return found


def ways(teacher: str, links: Below) -> list[Way]:
    """A way to each student below `teacher`, in the order in which they are met."""
    depth, recorded = _depths(teacher, links), _recorded(teacher, links)
    listed = list(dict.fromkeys(shard for link in links.get(teacher, ()) for shard, _ in link.taken))
    bits = {shard: 1 << at for at, shard in enumerate(listed)}
    passed, claimed = _passed_on(teacher, links, bits)
    into: dict[str, list[Link]] = {}
    for ref in depth:
        for link in links.get(ref, ()):
            if link.is_step and link.src.startswith("student:"):
                into.setdefault(link.src, []).append(link)
    named: dict[int, tuple[str, ...]] = {}  # many students read the same shards
    found = []
    for student, steps in into.items():
        read = [link for link in steps if link.dst == teacher and link.taken]
        mask = _mask(read, bits) if read else passed.get(student, 0)
        if mask not in named:
            named[mask] = tuple(shard for shard in listed if bits[shard] & mask)
        whole = bool(read) or student not in claimed
        args = student, teacher, depth[student], student in recorded, bool(read), tuple(read or steps)
        found.append(Way(*args, shards=named[mask], is_whole=whole))
    return found


def _depths(teacher: str, links: Below) -> dict[str, int]:
    """How many steps lie between `teacher` and each model below it, at least."""
    depth = {teacher: 0}
    waiting = deque([teacher])
    while waiting:  # nearest first: what is no step goes to the front
        ref = waiting.popleft()
        for link in links.get(ref, ()):
            if depth[ref] + link.is_step < depth.get(link.src, 1 << 30):
                depth[link.src] = depth[ref] + link.is_step
                (waiting.append if link.is_step else waiting.appendleft)(link.src)
    return depth


def _recorded(teacher: str, links: Below) -> set[str]:
    """What lies below `teacher` on a way that is recorded throughout."""
    found, waiting = {teacher}, [teacher]
    while waiting:
        for link in links.get(waiting.pop(), ()):
            if link.is_recorded and link.src not in found:
                found.add(link.src)
                waiting.append(link.src)
    return found


def _passed_on(teacher: str, links: Below, bits: Mapping[str, int]) -> tuple[dict[str, int], set[str]]:
    """The teacher's shards that reached each model below it, as bits; and the models that something else reached too."""
    passed: dict[str, int] = {}
    claimed: set[str] = set()
    waiting = deque([teacher])
    while waiting:
        ref = waiting.popleft()
        for link in links.get(ref, ()):
            if link.src == teacher:
                continue
            mask = _mask([link], bits) if ref == teacher else passed.get(ref, 0)
            is_claimed = not mask if ref == teacher else ref in claimed
            before = passed.get(link.src, 0)
            if mask & ~before or (is_claimed and link.src not in claimed):
                passed[link.src] = before | mask
                claimed.update([link.src] if is_claimed else [])
                waiting.append(link.src)
    return passed, claimed


def _mask(links: Iterable[Link], bits: Mapping[str, int]) -> int:
    mask = 0
    for link in links:
        for shard, _ in link.taken:
            mask |= bits[shard]
    return mask
