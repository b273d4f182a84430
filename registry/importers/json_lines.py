"""JSON Lines: one record a line, blank lines between them allowed."""

from collections.abc import Iterable, Iterator

from inbond.registry.importers.element import WHITE, Element, Pending


def line_elements(blocks: Iterable[bytes], line: int) -> Iterator[Element]:
    """The lines of `blocks` that are not blank; `line` is the number of the first.

    The last may lack its line break; the element says so, because a cut-off file ends like that.
    """
    number = 0
    pending = Pending()
    for block in blocks:
        *ended, last = block.split(b"\n")
        for raw in ended:
            if pending.size:
                pending.add(raw)
                if not pending.blank:
                    number += 1
                    yield Element(pending.join(), line, number, pending.too_large)
                pending = Pending()
            elif raw and not _blank(raw):
                number += 1
                yield Element(raw, line, number)
            line += 1
        if last:
            pending.add(last)
    if not pending.blank:
        yield Element(pending.join(), line, number + 1, pending.too_large, True)


def _blank(raw: bytes) -> bool:
    return raw.isspace() and not raw.strip(WHITE)
