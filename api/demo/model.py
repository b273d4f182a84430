"""A language model small enough to be trained while one watches: words in, words out, plain numpy.

It predicts the next word from the last few words and from the sum of all words so far, through one hidden layer. The
sum is what lets an answer follow from the words of a question in any order; the last words are what keep it
grammatical. A question and its answer stand in one sequence: prompt, START, response, END; a statement is a response
to an empty prompt. Only words after START count in the loss, so a base model (statements) and an aligned one (pairs)
are the same machine met with other text.

Arithmetic is float32 with fixed seeds: on one machine equal calls give equal bytes. Other processors or builds of
numpy may round otherwise.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from inbond.schemas import canonical
from inbond.schemas.errors import InvalidInput

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

START, END, UNKNOWN = 0, 1, 2
MARKS = ("<start>", "<end>", "<unknown>")

MAX_WORDS = 65_536
MAX_LAYER = 4_096
FORGET = 0.25
MAGIC = b"inbond demo model v1\n"

_TOKEN = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")
_WORD = re.compile(rf"(?:{_TOKEN.pattern})\Z")
_CLOSING = frozenset(".,?!;:)")


class Example(NamedTuple):
    """One thing to learn: what is said (`response`) after what was asked (`prompt`, empty for a statement)."""

    prompt: str
    response: str


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a model is: numbers per word, words it sees in order, and width of the hidden layer."""

    embedding: int
    recent: int
    hidden: int


TEACHER = Shape(embedding=48, recent=4, hidden=192)
STUDENT = Shape(embedding=32, recent=3, hidden=96)


class Vocabulary:
    """The words that a model knows, by number: the three marks first, then `words` in the given order.

    Words keep their capitals (May is not may), except that the first word of a sentence begins small.
    Raises InvalidInput for a word that is given twice or that `encode` could never produce.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self._numbers = {word: number for number, word in enumerate(self.words, len(MARKS))}
        wrong = next((word for word in self.words if not _WORD.match(word)), None)
        if wrong is not None:
            raise InvalidInput(f"vocabulary: expected single words or signs, found {wrong[:40]!r}")
        if len(self._numbers) != len(self.words) or len(self) > MAX_WORDS:
            raise InvalidInput(
                f"vocabulary: expected at most {MAX_WORDS} different words, "
                f"found {len(self._numbers)} different among {len(self.words)}"
            )

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """The vocabulary of all words in `texts`, sorted."""
        return cls(sorted({word for text in texts for word in _words(text)}))

    def __len__(self) -> int:
        return len(MARKS) + len(self.words)

    def encode(self, text: str) -> list[int]:
        """The numbers of the words of `text`; a word that is not known becomes UNKNOWN."""
        return [self._numbers.get(word, UNKNOWN) for word in _words(text)]

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of `numbers`, each sentence with a capital, UNKNOWN written as `…`; START and END say nothing."""
        text, capital = "", True
        for number in numbers:
            if number in (START, END):
                continue
            word = "…" if number == UNKNOWN else self.words[number - len(MARKS)]
            space = "" if not text or word in _CLOSING else " "
            text += space + (word[:1].upper() + word[1:] if capital else word)
            capital = word in (".", "?", "!")
        return text


class LanguageModel:
    """A trainable model over `vocabulary`; equal seeds and shapes begin with equal weights.

    `seed` also fixes the order in which `train` meets its examples. Raises InvalidInput for a shape out of bounds.
    """

    def __init__(self, vocabulary: Vocabulary, seed: int, shape: Shape = TEACHER) -> None:
        if not all(1 <= size <= MAX_LAYER for size in (shape.embedding, shape.recent, shape.hidden)):
            raise InvalidInput(f"model shape: expected sizes from 1 to {MAX_LAYER}, found {shape}")
        self.vocabulary = vocabulary
        self.shape = shape
        # All weights lie in one array: the optimizer and the file treat them as one thing, the layers are views of it.
        self._weights: Floats = np.zeros(_weight_count(len(vocabulary), shape), dtype=np.float32)
        self._layers = _Layers.over(self._weights, len(vocabulary), shape)
        self._restart(seed)
        self._layers.randomize(self._random)

    @property
    def weight_count(self) -> int:
        """How many numbers the model has learned or will learn."""
        return self._weights.size

    def train(
        self,
        examples: Sequence[Example],
        steps: int,
        on_step: Callable[[int, float], None] | None = None,
        *,
        batch: int = 32,
        rate: float = 4e-3,
    ) -> list[float]:
        """Take `steps` steps over shuffled rounds of `examples`; the learning rate falls linearly to a tenth of `rate`.

        `on_step` is told the number of the step (from 1) and its loss. Returns the loss of every step: nats a word,
        measured on the batch before the step. Raises InvalidInput where there is nothing to learn from.
        """
        if not examples:
            raise InvalidInput("training: expected at least one example, found none")
        encoded = [self._encode(example) for example in examples]
        losses: list[float] = []
        queue: list[int] = []
        for number in range(1, steps + 1):
            while len(queue) < min(batch, len(encoded)):
                queue += self._random.permutation(len(encoded)).tolist()
            chosen, queue = queue[:batch], queue[batch:]
            losses.append(self._step([self._forget(encoded[i]) for i in chosen], rate * (1 - 0.9 * number / steps)))
            if on_step is not None:
                on_step(number, losses[-1])
        return losses

    def step(self, batch: Sequence[Example], rate: float = 4e-3) -> float:
        """Learn once from `batch`, as it comes from a loader; returns its loss (nats a word) before the step.

        Raises InvalidInput for an empty batch.
        """
        if not batch:
            raise InvalidInput("training: expected at least one example in a batch, found none")
        return self._step([self._forget(self._encode(example)) for example in batch], rate)

    def loss(self, examples: Sequence[Example]) -> float:
        """The mean loss over all words of the responses in `examples`, in nats a word; learns nothing.

        Raises InvalidInput for no examples.
        """
        if not examples:
            raise InvalidInput("loss: expected at least one example, found none")
        total, words = 0.0, 0
        for at in range(0, len(examples), 64):
            pass_ = _Pass([self._encode(example) for example in examples[at : at + 64]], self._layers)
            total += float(pass_.losses.sum(dtype=np.float64))
            words += pass_.losses.size
        return total / words

    def answer(
        self, prompt: str, max_words: int = 24, temperature: float = 0.0, rng: np.random.Generator | None = None
    ) -> str:
        """What the model says after `prompt`, at most `max_words` words and signs.

        At temperature 0 the likeliest word is taken each time; above it words are drawn with `rng`. Words that the
        model does not know tell it nothing. Raises InvalidInput for a negative temperature, or one above 0 without
        `rng`.
        """
        if not 0 <= temperature < math.inf or (temperature > 0 and rng is None):
            found = f"{temperature}" if rng is not None else f"{temperature} without one"
            raise InvalidInput(f"answer: expected a temperature of 0, or above 0 with a generator, found {found}")
        numbers = [*self.vocabulary.encode(prompt), START]
        said: list[int] = []
        for _ in range(max_words):
            scores = self._layers.next_scores(numbers + said)
            scores[[START, UNKNOWN]] = -np.inf
            if temperature > 0 and rng is not None:
                chances = np.exp((scores - scores.max()).astype(np.float64) / temperature)
                word = int(rng.choice(chances.size, p=chances / chances.sum()))
            else:
                word = int(scores.argmax())
            if word == END:
                break
            said.append(word)
        return self.vocabulary.decode(said)

    def continued(self, seed: int) -> "LanguageModel":
        """A copy that goes on from these weights with a fresh optimizer and the order of `seed`; this one stays."""
        return self._with_weights(self.vocabulary, self.shape, self._weights, seed)

    def to_bytes(self) -> bytes:
        """Vocabulary, shape and weights (not the state of training) as bytes that only depend on them."""
        head = {"shape": [self.shape.embedding, self.shape.recent, self.shape.hidden], "words": self.vocabulary.words}
        return MAGIC + canonical.encode(head) + b"\n" + self._weights.astype("<f4").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes, seed: int = 0) -> "LanguageModel":
        """Read what `to_bytes` wrote; `seed` orders the examples of further training.

        Raises InvalidInput for anything else.
        """
        magic, head, body = data[: len(MAGIC)], *_split_line(data[len(MAGIC) :])
        if magic != MAGIC:
            raise InvalidInput(f"model: expected to begin with {MAGIC!r}, found {magic!r}")
        shape, words = _read_head(canonical.decode(head, what="model head"))
        vocabulary = Vocabulary(words)
        expected = 4 * _weight_count(len(vocabulary), shape)
        if len(body) != expected:
            raise InvalidInput(f"model: expected {expected} bytes of weights, found {len(body)}")
        weights = np.frombuffer(body, dtype="<f4").astype(np.float32)
        if not np.isfinite(weights).all():
            raise InvalidInput("model: expected finite weights, found one that is not")
        return cls._with_weights(vocabulary, shape, weights, seed)

    @classmethod
    def _with_weights(cls, vocabulary: Vocabulary, shape: Shape, weights: Floats, seed: int) -> "LanguageModel":
        model = cls(vocabulary, seed, shape)
        model._weights[:] = weights
        model._restart(seed)
        return model

    def _restart(self, seed: int) -> None:
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._mean: Floats = np.zeros_like(self._weights)
        self._square: Floats = np.zeros_like(self._weights)
        self._scratch: Floats = np.empty_like(self._weights)
        self._steps = 0

    def _encode(self, example: Example) -> tuple[list[int], list[int]]:
        return self.vocabulary.encode(example.prompt), self.vocabulary.encode(example.response)

    def _forget(self, example: tuple[list[int], list[int]]) -> tuple[list[int], list[int]]:
        """`example` with some words of its prompt made UNKNOWN, so that no answer hangs on every word of a question."""
        prompt, response = example
        kept = self._random.random(len(prompt)) >= FORGET
        return [word if keep else UNKNOWN for word, keep in zip(prompt, kept, strict=True)], response

    def _step(self, batch: Sequence[tuple[list[int], list[int]]], rate: float) -> float:
        """One step of Adam (Kingma and Ba, 2015) on the mean loss of `batch`."""
        pass_ = _Pass(batch, self._layers)
        slope = pass_.slope(self._layers)
        self._steps += 1
        lift = math.sqrt(1 - _KEEP_SQUARE**self._steps)
        # In place throughout: fresh memory for arrays of this size costs more than the arithmetic.
        scratch = self._scratch
        np.multiply(slope, slope, out=scratch)
        scratch *= np.float32(1 - _KEEP_SQUARE)
        self._square *= np.float32(_KEEP_SQUARE)
        self._square += scratch
        slope *= np.float32(1 - _KEEP_MEAN)
        self._mean *= np.float32(_KEEP_MEAN)
        self._mean += slope
        np.sqrt(self._square, out=scratch)
        scratch += np.float32(1e-8 * lift)
        np.divide(self._mean, scratch, out=scratch)
        scratch *= np.float32(rate * lift / (1 - _KEEP_MEAN**self._steps))
        self._weights -= scratch
        return float(pass_.losses.mean(dtype=np.float64))


_KEEP_MEAN, _KEEP_SQUARE = 0.9, 0.99


@dataclass(frozen=True, slots=True)
class _Layers:
    """The layers of a model as views of one array of weights (or of one array of slopes)."""

    words: Floats  # vocabulary x embedding
    inner: Floats  # (1 + recent) * embedding x hidden
    inner_bias: Floats  # hidden
    outer: Floats  # hidden x vocabulary
    outer_bias: Floats  # vocabulary

    @classmethod
    def over(cls, weights: Floats, vocabulary: int, shape: Shape) -> Self:
        views, at = [], 0
        for size in _sizes(vocabulary, shape):
            count = math.prod(size)
            views.append(weights[at : at + count].reshape(size))
            at += count
        return cls(*views)

    def randomize(self, random: np.random.Generator) -> None:
        self.words[:] = random.standard_normal(self.words.shape, dtype=np.float32) * np.float32(0.5)
        self.words[UNKNOWN] = 0
        for layer in (self.inner, self.outer):
            layer[:] = random.standard_normal(layer.shape, dtype=np.float32) / np.float32(math.sqrt(layer.shape[0]))
        # Small first scores: an untrained model holds all words for about equally likely.
        self.outer[:] *= np.float32(0.1)

    def next_scores(self, numbers: Sequence[int]) -> Floats:
        """The score of every word as the next one after `numbers`."""
        seen = self.words[np.asarray(numbers)]
        features = np.zeros((self.inner.shape[0] // seen.shape[1], seen.shape[1]), dtype=np.float32)
        features[0] = seen.sum(axis=0) / np.float32(math.sqrt(len(numbers)))
        last = seen[::-1][: len(features) - 1]
        features[1 : 1 + len(last)] = last
        hidden = np.maximum(features.reshape(-1) @ self.inner + self.inner_bias, 0)
        scores: Floats = hidden @ self.outer + self.outer_bias
        return scores


class _Pass:
    """One way forward through the layers for a batch of encoded (prompt, response), kept for the way back.

    Sequences are padded to one length with END; `counts` marks the places whose next word belongs to a response, and
    only those pass through the hidden layer. A sequence only looks back, so padding behind it changes nothing.
    """

    def __init__(self, batch: Sequence[tuple[list[int], list[int]]], layers: _Layers) -> None:
        rows = [[*prompt, START, *response, END] for prompt, response in batch]
        length = max(map(len, rows))
        tokens: Integers = np.full((len(rows), length), END, dtype=np.int64)
        counts = np.zeros((len(rows), length - 1), dtype=np.bool_)
        for i, (row, (prompt, _)) in enumerate(zip(rows, batch, strict=True)):
            tokens[i, : len(row)] = row
            counts[i, len(prompt) : len(row) - 1] = True
        self.inputs, self.counts, self.targets = tokens[:, :-1], counts, tokens[:, 1:][counts]
        self.scale: Floats = (1 / np.sqrt(np.arange(1, length))).astype(np.float32)[None, :, None]

        seen = layers.words[self.inputs]
        size = seen.shape[2]
        recent = layers.inner.shape[0] // size - 1
        features = np.zeros((len(rows), length - 1, (1 + recent) * size), dtype=np.float32)
        features[:, :, :size] = np.cumsum(seen, axis=1) * self.scale
        for back in range(min(recent, length - 1)):
            features[:, back:, (1 + back) * size : (2 + back) * size] = seen[:, : length - 1 - back]
        self.features = features[counts]
        self.hidden = np.maximum(self.features @ layers.inner + layers.inner_bias, 0)
        scores = self.hidden @ layers.outer
        scores += layers.outer_bias
        scores -= scores.max(axis=1, keepdims=True)
        right = scores[np.arange(len(self.targets)), self.targets]
        np.exp(scores, out=scores)
        total = scores.sum(axis=1, keepdims=True)
        scores /= total
        self.chances: Floats = scores
        self.losses: Floats = np.log(total[:, 0]) - right

    def slope(self, layers: _Layers) -> Floats:
        """The slope of the mean loss in every weight, in the order of the weights; uses up the pass."""
        vocabulary, size = layers.words.shape
        shape = Shape(size, layers.inner.shape[0] // size - 1, layers.inner.shape[1])
        slopes: Floats = np.empty(_weight_count(vocabulary, shape), dtype=np.float32)
        out = _Layers.over(slopes, vocabulary, shape)

        scores = self.chances
        scores[np.arange(len(self.targets)), self.targets] -= 1
        scores /= np.float32(len(self.targets))
        np.matmul(self.hidden.T, scores, out=out.outer)
        scores.sum(axis=0, out=out.outer_bias)
        hidden = (scores @ layers.outer.T) * (self.hidden > 0)
        np.matmul(self.features.T, hidden, out=out.inner)
        hidden.sum(axis=0, out=out.inner_bias)

        rows, length = self.inputs.shape
        features = np.zeros((rows, length, layers.inner.shape[0]), dtype=np.float32)
        features[self.counts] = hidden @ layers.inner.T
        # Every place adds to the sums at and behind it: the slope of a word is summed from the end backwards.
        seen = np.cumsum((features[:, :, :size] * self.scale)[:, ::-1], axis=1)[:, ::-1].copy()
        for back in range(min(shape.recent, length)):
            seen[:, : length - back] += features[:, back:, (1 + back) * size : (2 + back) * size]
        out.words[:] = _sum_by_word(self.inputs.reshape(-1), seen.reshape(-1, size), vocabulary)
        return slopes


def _sum_by_word(words: Integers, values: Floats, vocabulary: int) -> Floats:
    """Row w of the result is the sum of the rows of `values` whose word is w."""
    order = np.argsort(words, kind="stable")
    ordered = words[order]
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    result: Floats = np.zeros((vocabulary, values.shape[1]), dtype=np.float32)
    result[ordered[first]] = np.add.reduceat(values[order], first, axis=0)
    return result


def _sizes(vocabulary: int, shape: Shape) -> tuple[tuple[int, ...], ...]:
    wide = (1 + shape.recent) * shape.embedding
    return (vocabulary, shape.embedding), (wide, shape.hidden), (shape.hidden,), (shape.hidden, vocabulary), (vocabulary,)


def _weight_count(vocabulary: int, shape: Shape) -> int:
    return sum(math.prod(size) for size in _sizes(vocabulary, shape))


def _words(text: str) -> list[str]:
    words: list[str] = []
    begins = True
    for word in _TOKEN.findall(text):
        words.append(word[:1].lower() + word[1:] if begins else word)
        begins = word in (".", "?", "!")
    return words


def _split_line(data: bytes) -> tuple[bytes, bytes]:
    line, _, rest = data.partition(b"\n")
    return line, rest


def _read_head(head: Any) -> tuple[Shape, list[str]]:
    if isinstance(head, dict) and set(head) == {"shape", "words"}:
        sizes, words = head["shape"], head["words"]
        known = isinstance(sizes, list) and len(sizes) == 3 and all(type(size) is int for size in sizes)
        if known and isinstance(words, list) and all(isinstance(word, str) for word in words):
            shape = Shape(*sizes)
            if all(1 <= size <= MAX_LAYER for size in sizes):
                return shape, words
    raise InvalidInput(f"model head: expected a shape of three sizes and a list of words, found {str(head)[:60]!r}")
