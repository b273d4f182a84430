"""The section router: which section of the Union's summary a shard of outputs belongs to, and what no rule decides.

Pure: facts in, an answer out. Content goes by who made it, whether the public has it, and how it was used; the prompts that
were trained on go to sections of their own beside it; a model that only judged, filtered or rephrased is asked about apart
(`route_hand`). What is not known, and what the template leaves in doubt, is a question to a person, never a guess.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from inbond.schemas.errors import InvalidInput
from inbond.schemas.statements import CreatedBy, ModelRole, SourceCategory, UseKind

SECTIONS = ("2.1", "2.2.1", "2.2.2", "2.3", "2.4", "2.5", "2.6")
NOWHERE = "none"

OF_SOURCE = {
    SourceCategory.PUBLIC: "2.1",
    SourceCategory.LICENSED: "2.2.1",
    SourceCategory.PRIVATE: "2.2.2",
    SourceCategory.CRAWL: "2.3",
    SourceCategory.USER: "2.4",
    SourceCategory.SYNTHETIC: "2.5",
    SourceCategory.HUMAN: "2.6",
    SourceCategory.OTHER: "2.6",
}
"""Where prompts, and data that came beside outputs, belong by their category."""

_TRAINED_ON = frozenset({UseKind.SFT, UseKind.KD_LOGITS, UseKind.PREFERENCE, UseKind.REWARD})


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts of one category, and whether they were trained on (None: not known)."""

    category: SourceCategory
    in_training: bool | None


@dataclass(frozen=True, slots=True)
class Routing:
    """The deciding facts of a shard in the training of a student; None where a fact is not known.

    `on_behalf`: another party made it under a contract with the operator. `licensed`: its dataset came under a licence of
    the rightsholder. `chosen`: more samples were made than kept. `roles` are those of all its models.
    """

    created_by: CreatedBy | None
    uses: frozenset[UseKind]
    roles: frozenset[ModelRole] = frozenset({ModelRole.RESPONSE})
    public: bool | None = None
    on_behalf: bool = False
    licensed: bool | None = None
    chosen: bool | None = None
    prompts: tuple[Prompts, ...] | None = None

    @property
    def is_own(self) -> bool | None:
        """Whether the operator made it, or somebody for the operator; None where that is not known."""
        if self.on_behalf or self.created_by in (CreatedBy.OPERATOR, CreatedBy.CONTRACTOR):
            return True
        return False if self.created_by is CreatedBy.THIRD_PARTY else None


@dataclass(frozen=True, slots=True)
class Routed:
    """Sections that the rules give, why, and the questions that they leave. With a question, a ruling decides.

    `sections` holds those of the content; `beside` those of prompts that were trained on. `unknown` names the facts about
    prompts that would be needed to say that there are no others.
    """

    sections: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def route(facts: Routing) -> Routed:
    """Where a shard belongs."""
    section, reason, questions = _content(facts)
    beside, unknown = _prompts(facts)
    return Routed(
        sections=(section,) if section and not questions else (),
        beside=beside,
        reasons=(reason,) if reason else (),
        questions=questions,
        unknown=unknown,
    )


def _content(facts: Routing) -> tuple[str, str, tuple[str, ...]]:
    """(section, reason, questions) of what the models wrote."""
    if facts.is_own is None:
        return "", "", ("it is not known who made these outputs (created_by)",)
    if facts.is_own:
        who = "made by the operator" if facts.created_by is CreatedBy.OPERATOR else "made for the operator under contract"
        return "2.5", f"{who} and trained on", tuple(_doubts(facts))
    if facts.public is None:
        return "", "", ("a third party made these outputs and it is not known whether they are public (public)",)
    if facts.public:
        return "2.1", "made by a third party and freely available to the public", ()
    if facts.licensed is None:
        question = "a third party's private outputs: it is not known whether a rightsholder licensed them (licence)"
        return "", "", (question,)
    if facts.licensed:
        return "2.2.1", "a third party's private outputs under a licence", ()
    return "2.2.2", "a third party's private outputs without a rightsholder's licence", ()


def _doubts(facts: Routing) -> Iterable[str]:
    """What of the operator's own outputs the template leaves to judgement."""
    if UseKind.JUDGE in facts.uses:
        yield "a model's judgements serve as a signal in training: feedback of a model, or a tool"
    if UseKind.REWARD in facts.uses and facts.roles & {ModelRole.JUDGE, ModelRole.REWARD}:
        yield "a model judges and its judgement is the reward: feedback of a model, or a tool"
    if UseKind.REPHRASE in facts.uses or ModelRole.REPHRASE in facts.roles:
        if facts.prompts is None:
            yield "a model rephrased content and it is not known what (prompts): rephrased crawl would belong to 2.3 as well"
        elif any(prompts.category is SourceCategory.CRAWL for prompts in facts.prompts):
            yield "a model rephrased crawled content: 2.3, 2.5 or both"
    if not facts.uses & (_TRAINED_ON | {UseKind.JUDGE, UseKind.REPHRASE}):
        yield "how the outputs were used in training is recorded as other"


def _prompts(facts: Routing) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(sections of prompts that were trained on, facts that are not known)."""
    if facts.prompts is None:
        # A third party's prompts are part of its dataset; only of one's own must be known what they are.
        return (), () if facts.is_own is False else ("prompts",)
    trained = {OF_SOURCE[prompts.category] for prompts in facts.prompts if prompts.in_training}
    unsure = any(prompts.in_training is None for prompts in facts.prompts)
    return tuple(sorted(trained)), ("prompts.in_training",) if unsure else ()


def route_hand(role: ModelRole, facts: Routing) -> Routed:
    """Whether a model with `role`, beside the one that wrote a shard of the operator's own, belongs to 2.5 too."""
    if facts.is_own is False:
        return Routed((NOWHERE,), reasons=("a third party used it for its own dataset",))
    if role is ModelRole.REPHRASE:
        return Routed(("2.5",), reasons=("it rephrased what was trained on",))
    if role is ModelRole.JUDGE and UseKind.PREFERENCE in facts.uses:
        return Routed(("2.5",), reasons=("its preferences were trained on",))
    if role is ModelRole.JUDGE and UseKind.REWARD not in facts.uses:
        return Routed(questions=("a model chose among samples: enrichment, or generation (rejection sampling)",))
    if role in (ModelRole.JUDGE, ModelRole.REWARD):
        return Routed(questions=("a model's judgement is the reward: feedback of a model, or a tool",))
    if facts.chosen is False:
        return Routed((NOWHERE,), reasons=("it only filtered, and nothing was chosen among samples",))
    why = "more samples were made than kept" if facts.chosen else "whether samples were chosen among more is not known (output)"
    return Routed(questions=(f"a model filtered and {why}: enrichment, or generation (rejection sampling)",))


def sections_in(scope: str) -> tuple[str, ...]:
    """The sections that a ruling's scope names, such as `2.3, 2.5`, or `none`. Raises InvalidInput for other text."""
    named = tuple(part.strip() for part in scope.split(","))
    if named == (NOWHERE,):
        return named
    if not set(named) <= set(SECTIONS) or len(set(named)) != len(named):
        raise InvalidInput(f"section: expected some of {', '.join(SECTIONS)} with commas between, or {NOWHERE}, found {scope!r}")
    return tuple(sorted(named))
