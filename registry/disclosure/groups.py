"""What a section lists: shards of one origin taken together, or a source, with what is known of the whole."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET, UnsetType

from inbond.registry.disclosure.document import Item
from inbond.registry.disclosure.facts import Facts, Given, UsedSource
from inbond.registry.disclosure.general import MODALITIES, modalities
from inbond.registry.disclosure.wording import count, language, listed, months


@dataclass(frozen=True, slots=True)
class Group:
    """Data of one origin. `rows` and `tokens` are what the student was given of it, None where that is not known.

    `held` counts the rows of the shards that it was given any of; `period` is (first, last, live), empty where not known.
    """

    name: str
    url: str
    holder: str
    shards: tuple[Given, ...]
    source: UsedSource | None
    rows: int | None
    tokens: int | None
    tokenizer: str | None
    held: int | None
    period: tuple[str, str, bool] | None
    modalities: tuple[str, ...]
    types: tuple[str, ...]
    languages: tuple[str, ...]
    regions: tuple[str, ...]

    @property
    def entries(self) -> list[int]:
        """The entries of the statements that describe it."""
        return list(self.source.entries) if self.source else [shard.thing.entry for shard in self.shards]

    def item(self) -> Item:
        """As an item of a list: its name, whose it is, and which part of it was selected."""
        words = [self.name]
        if self.holder:
            words.append(f"from {self.holder}")
        if self.held is not None and self.rows is not None and self.rows < self.held:
            words.append(f"{self.rows:,} of {count(self.held, 'row')}, in the order of the run's plan")
        if not self.url:
            words.append(self.description())
        return Item(text="; ".join(words), url=self.url or UNSET)

    def description(self) -> str:
        """In a sentence: modality, content, languages, period, size."""
        when = months(self.period[0], self.period[1], live=self.period[2]) if self.period else "not known"
        parts = [
            listed(self.modalities).lower() or "modality not known",
            f"content: {listed(self.types)}" if self.types else "types of content not known",
            f"languages: {listed(map(language, self.languages))}" if self.languages else "languages not known",
            f"collected: {when}",
            "size not known" if self.rows is None else count(self.rows, "row"),
        ]
        return "; ".join(parts)


def groups_of(facts: Facts, shards: Iterable[str], sources: Iterable[str]) -> list[Group]:
    """Shards by where the public finds them, else by supplier and dataset; then sources; each by name."""
    by: dict[tuple[str, ...], list[str]] = {}
    for ref in shards:
        given = facts.shards[ref]
        public = given.body.public.known
        if isinstance(public, UnsetType):
            by.setdefault((given.body.supplier.value_or(""), *given.datasets[:1]), []).append(ref)
        else:
            by.setdefault((public.url,), []).append(ref)
    found = [_of_shards(facts, refs) for refs in by.values()] + [_of_source(facts, facts.sources[ref]) for ref in sources]
    return sorted(found, key=lambda group: (group.name, group.url))


def _of_shards(facts: Facts, refs: list[str]) -> Group:
    given = [facts.shards[ref] for ref in refs]
    sums = facts.figures(refs)
    public = given[0].body.public.known
    suppliers = sorted({facts.ledger.name(ref) for shard in given if (ref := shard.body.supplier.value_or(""))})
    names = sorted({facts.ledger.name(ref) for shard in given for ref in shard.datasets[:1]})
    contents = [shard.body.content.known for shard in given]
    known = [content for content in contents if not isinstance(content, UnsetType)]
    return Group(
        name=listed(names) or given[0].thing.ref,
        url="" if isinstance(public, UnsetType) else public.url,
        holder=listed(suppliers),
        shards=tuple(given),
        source=None,
        rows=sums.rows,
        tokens=sums.tokens,
        tokenizer=sums.tokenizer,
        held=sum(facts.measured[ref].rows for ref in refs),
        period=period_of(given),
        modalities=tuple(sorted(modalities(facts, refs))),
        types=tuple(sorted({each for content in known for each in content.types})),
        languages=tuple(sorted({each for content in known for each in content.languages})),
        regions=tuple(sorted({each for content in known for each in content.regions})),
    )


def _of_source(facts: Facts, source: UsedSource) -> Group:
    body = source.body
    content: Any = body.content.known
    collected: Any = body.collected.known
    version = body.version.value_or("")
    owner = body.owner.value_or("")
    sizes = body.sizes.value_or(())
    named = set() if isinstance(content, UnsetType) else set(content.modalities)
    return Group(
        name=f"{body.name} {version}" if version else body.name,
        url=body.url.value_or(""),
        holder=facts.ledger.name(owner) if owner else "",
        shards=(),
        source=source,
        rows=source.rows,
        tokens=None,
        tokenizer=None,
        held=None,
        period=None if isinstance(collected, UnsetType) else (collected.from_, collected.to, collected.live),
        modalities=tuple(sorted({MODALITIES[each] for each in named | {size.modality for size in sizes}})),
        types=() if isinstance(content, UnsetType) else tuple(sorted(content.types)),
        languages=() if isinstance(content, UnsetType) else tuple(sorted(content.languages)),
        regions=() if isinstance(content, UnsetType) else tuple(sorted(content.regions)),
    )


def period_of(given: Iterable[Given]) -> tuple[str, str, bool] | None:
    """From when to when outputs were made, and whether they still are; None where that is not known of all."""
    known = [shard.body.generated.known for shard in given]
    periods = [each for each in known if not isinstance(each, UnsetType)]
    if not periods or len(periods) < len(known):
        return None
    return min(each.first for each in periods), max(each.last for each in periods), any(each.live for each in periods)
