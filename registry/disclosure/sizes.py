"""Field 1.3.b of the Union's summary: how large the training data is, by modality, as far as what is on record says it.

The form asks for a box, not for a number. So a box is ticked wherever all that the numbers can be lies in one: tokens of
shards that were given in part, or that are counted with several tokenizers, have a least and a most. Sizes of images, audio
and video are those that sources state. What is left without a box is given in rows, which the form allows.
"""

from collections.abc import Mapping
from decimal import Decimal
from shlex import quote

from msgspec import UnsetType

from inbond.registry.disclosure.document import boxes
from inbond.registry.disclosure.facts import Facts, UsedSource
from inbond.registry.disclosure.sheet import Sheet
from inbond.registry.disclosure.wording import SIZE_BINS, count, listed, short, size_bin
from inbond.registry.shares import Figures
from inbond.schemas.scalars import Modality
from inbond.schemas.statements import Shard

UNITS: Mapping[str, tuple[str, ...]] = {
    "Text": ("tokens", "token"),
    "Image": ("images", "image"),
    "Audio": ("hours", "hour", "h"),
    "Video": ("hours", "hour", "h"),
}
"""The unit of each modality's boxes, first as it is written here, then as sources may write it."""

_FIELD = "1.3.b"


def fill(sheet: Sheet, facts: Facts, ticked: set[str]) -> None:
    """Fill in the sizes of the modalities that are `ticked` in 1.3.a."""
    whole = facts.figures(facts.shards)
    sheet.figure(_FIELD, "rows of text given", whole.rows, "rows", "given.rows", facts.entries)
    if not facts.shards:
        text = "training data: nothing is on record as given to a run of this model"
        supply = f"inbond pull DATASET --student {quote(facts.student.name)} --run NAME"
        sheet.missing(_FIELD, "run", facts.student.name, text, supply)
    for modality in (name for name in SIZE_BINS if name in ticked):
        if modality == "Text":
            _text(sheet, facts, whole)
        else:
            _stated(sheet, facts, modality)
    for source in _beside(facts):
        rows = "an unknown number of rows" if source.rows is None else count(source.rows, "row")
        sheet.fill(_FIELD, f"Beside them {rows} of {source.thing.name}")
    if whole.rows_at_most:
        sheet.figure(_FIELD, "rows at most", whole.rows_at_most, "rows", "given.rows", facts.entries)


def modalities_of(source: UsedSource) -> set[str]:
    """The modalities that a source is said to have."""
    content = source.body.content.known
    named = () if isinstance(content, UnsetType) else content.modalities
    return {each.value.capitalize() for each in (*named, *(size.modality for size in source.body.sizes.value_or(())))}


def _beside(facts: Facts) -> list[UsedSource]:
    """Sources that runs read, beside shards."""
    return [source for source in facts.sources.values() if source.in_training and not source.shards]


def _text(sheet: Sheet, facts: Facts, whole: Figures) -> None:
    """Tokens where all of them are known, with the box; the box alone where every number that they can be is in it."""
    exact = whole.tokens if not _beside(facts) and not whole.rows_at_most else None
    low, high = (exact, exact) if exact is not None else _tokens(facts)
    box = {size_bin("Text", low)} if high is not None and size_bin("Text", low or 0) == size_bin("Text", high) else set[str]()
    sheet.fill(_FIELD, boxes(SIZE_BINS["Text"], box, "Text"))
    if exact is not None:
        sheet.figure(_FIELD, "tokens of text given", exact, "tokens", "given.tokens", facts.entries)
        return sheet.fill(_FIELD, f"{exact:,} tokens in {count(whole.rows, 'row')}")
    if box:
        sheet.figure(_FIELD, "tokens of text at most", high or 0, "tokens", "given.tokens_at_most", facts.entries)
        sheet.rest_on(_FIELD, "sources.declared", [seq for source in _beside(facts) for seq in source.entries])
        sheet.fill(_FIELD, f"At most {high:,} tokens, in several tokenizers or of shards that were not given whole")
    most = f" (up to {whole.rows_at_most:,}, as a grant is past its reporting time)" if whole.rows_at_most else ""
    unit = "a row is one prompt with one answer; the number of tokens is not known of all of them"
    sheet.fill(_FIELD, f"In another unit of measurement: {count(whole.rows, 'row')}{most}; {unit}")


def _tokens(facts: Facts) -> tuple[int, int | None]:
    """The least and the most tokens that can have been given; the most is None where that is open."""
    low, high = 0, 0
    for ref, taken in facts.taken.items():
        measured = facts.measured[ref]
        if measured.tokens is None:
            return 0, None
        high += measured.tokens
        low += measured.tokens if taken.rows == measured.rows else 0
    for source in _beside(facts):
        stated = _stated_by(source, "Text")
        if stated is None:
            return 0, None
        high += int(stated)
    return low, high


def _stated(sheet: Sheet, facts: Facts, modality: str) -> None:
    """The sizes of a modality that sources state, where they state it of all that has it."""
    used = [source for source in facts.sources.values() if source.in_training]
    stated = {source.thing.ref: size for source in used if (size := _stated_by(source, modality)) is not None}
    silent = [source for source in used if source.thing.ref not in stated and modality in modalities_of(source)]
    covered = {ref for source in used if source.thing.ref in stated for ref in source.shards}
    alone = [shard for ref, shard in facts.shards.items() if modality in _declared(shard.body) and ref not in covered]
    for source in silent:
        text = f"the size of its {modality.lower()} data, in {UNITS[modality][0]}"
        supply = f"inbond declare {short(source.thing.ref)} --facts FILE"
        sheet.missing(_FIELD, "sizes", source.thing.name, text, supply)
    if alone and not silent:
        text = f"the size of the {modality.lower()} data, as that of a source that its prompts name"
        sheet.missing(_FIELD, "sizes", facts.student.name, text, "inbond source add NAME --facts FILE")
    if silent or alone:
        return sheet.fill(_FIELD, boxes(SIZE_BINS[modality], set(), modality))
    amount, named = sum(stated.values(), Decimal(0)), [source for source in used if source.thing.ref in stated]
    names = listed(sorted(source.thing.name for source in named))
    sheet.fill(_FIELD, boxes(SIZE_BINS[modality], {size_bin(modality, amount)}, modality))
    sheet.fill(_FIELD, f"{amount.normalize():,f} {UNITS[modality][0]}, as stated of {names}")
    sheet.rest_on(_FIELD, "sources.declared", [seq for source in named for seq in source.entries])


def _stated_by(source: UsedSource, modality: str) -> Decimal | None:
    """What a source states of a modality in the unit of its boxes, None where nothing."""
    wanted = Modality(modality.lower())
    sizes = [size for size in source.body.sizes.value_or(()) if size.modality is wanted]
    amounts = [Decimal(size.amount) for size in sizes if size.unit.strip().lower() in UNITS[modality]]
    return sum(amounts, Decimal(0)) if amounts else None


def _declared(body: Shard) -> set[str]:
    """The modalities that a shard is said to have beside text."""
    content = body.content.known
    return set() if isinstance(content, UnsetType) else {each.value.capitalize() for each in content.modalities}
