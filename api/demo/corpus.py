"""The text that ships with the demo, and the prompts that are put to its models.

`corpus.txt` holds one thing a line, told by its first two characters: `- ` a statement, `? ` a question, `~ ` the
question before it in other words, `! ` its answer. An empty line ends a paragraph: the statements between two empty
lines follow each other. Lines beginning with `#` say nothing.
"""

from dataclasses import dataclass
from importlib.resources import files

from inbond.api.demo.model import Example
from inbond.schemas.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Pair:
    """A question with its answer, and the other wordings of the question that no model is trained on."""

    question: str
    answer: str
    rewordings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked. `trained` says whether the aligned teacher met these words in training."""

    text: str
    trained: bool


@dataclass(frozen=True, slots=True)
class Corpus:
    """The statements (for a base model) and the pairs (for an aligned one), in the order of the file."""

    paragraphs: tuple[tuple[str, ...], ...]
    pairs: tuple[Pair, ...]

    @property
    def statements(self) -> tuple[str, ...]:
        """The statements of all paragraphs."""
        return tuple(text for paragraph in self.paragraphs for text in paragraph)

    def running_text(self) -> tuple[Example, ...]:
        """What a base model is trained on: each statement after the one before it, the first of a paragraph after none."""
        return tuple(
            Example(before, text)
            for paragraph in self.paragraphs
            for before, text in zip(("", *paragraph), paragraph, strict=False)
        )

    def dialogue(self) -> tuple[Example, ...]:
        """What an aligned model is trained on: each answer after its question, without the rewordings."""
        return tuple(Example(pair.question, pair.answer) for pair in self.pairs)

    def texts(self) -> tuple[str, ...]:
        """Every text that the teachers are trained on, in a fixed order; what their vocabulary is made from."""
        return (*self.statements, *(text for pair in self.pairs for text in (pair.question, pair.answer)))

    def prompts(self) -> tuple[Prompt, ...]:
        """Each question, followed at once by its rewordings, in the order of the file; equal texts appear once."""
        found: dict[str, Prompt] = {}
        for pair in self.pairs:
            found.setdefault(pair.question, Prompt(pair.question, trained=True))
        for pair in self.pairs:
            for text in pair.rewordings:
                found.setdefault(text, Prompt(text, trained=False))
        order = (text for pair in self.pairs for text in (pair.question, *pair.rewordings))
        return tuple(found[text] for text in dict.fromkeys(order))


def load() -> Corpus:
    """The corpus that ships with the demo."""
    return parse((files("inbond.api.demo") / "corpus.txt").read_text(encoding="utf-8"))


def parse(text: str) -> Corpus:
    """Read the line format of this module.

    Raises InvalidInput, with the number of the line, for a line of no known form, a rewording or an answer without a
    question, a question without an answer, and a text without statements or pairs.
    """
    paragraphs: list[list[str]] = [[]]
    pairs: list[Pair] = []
    question: str | None = None
    rewordings: list[str] = []
    number = 0
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("#"):
            continue
        if not line.strip():
            paragraphs.append([])
            continue
        mark, body = line[:2], line[2:].strip()
        if mark not in ("- ", "? ", "~ ", "! ") or not body:
            raise _problem(number, "'- ', '? ', '~ ' or '! ' and a text", repr(line[:40]))
        if (mark in ("~ ", "! ")) != (question is not None):
            expected = "a question first" if question is None else "its rewording or its answer after a question"
            raise _problem(number, expected, repr(line[:40]))
        if mark == "- ":
            paragraphs[-1].append(body)
        elif mark == "? ":
            question = body
        elif mark == "~ ":
            rewordings.append(body)
        elif question is not None:
            pairs.append(Pair(question, body, tuple(rewordings)))
            question, rewordings = None, []
    if question is not None or not any(paragraphs) or not pairs:
        found = "a question without an answer" if question is not None else "no more"
        raise _problem(number, "statements and answered questions up to the end", found)
    return Corpus(tuple(tuple(texts) for texts in paragraphs if texts), tuple(pairs))


def _problem(line: int, expected: str, found: str) -> InvalidInput:
    return InvalidInput(f"corpus line {line}: expected {expected}, found {found}", line=line)
