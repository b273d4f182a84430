"""A language model small enough to be trained while one watches: words in, words out, plain numpy.

It predicts the next word from the last few words and from the sum of all words so far, through one hidden layer
(`network.py`). The sum lets an answer follow from the words of a question in any order; the last words keep it
grammatical. A question and its answer stand in one sequence: prompt, START, response, END. In running text the prompt
is what came before, or empty. Only words after START count in the loss, so a base model and an aligned one are the
same machine that has met other text.

Arithmetic is float32, on one thread, with fixed seeds: on one machine equal calls give equal bytes. Other processors
or builds of numpy may round otherwise.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from inbond.api.demo.network import STUDENT, TEACHER, Encoded, Floats, Layers, Pass, Shape, count_weights
from inbond.api.demo.threads import one_thread
from inbond.api.demo.vocabulary import END, START, UNKNOWN, Vocabulary
from inbond.schemas import canonical
from inbond.schemas.errors import InvalidInput

__all__ = ["STUDENT", "TEACHER", "Example", "LanguageModel", "Shape", "Vocabulary"]

RATE = 1e-2
"""The usual learning rate."""
FORGET = 0.15
"""The share of the words of a prompt that is hidden from the model at each step of training."""
MAGIC = b"inbond demo model v1\n"


class Example(NamedTuple):
    """One thing to learn: what is said (`response`) after what was asked or said before (`prompt`, may be empty)."""

    prompt: str
    response: str


class LanguageModel:
    """A trainable model over `vocabulary`; equal seeds and shapes begin with equal weights.

    `seed` (0 or more) also fixes the order in which `train` meets its examples.
    """

    def __init__(self, vocabulary: Vocabulary, seed: int, shape: Shape = TEACHER) -> None:
        self.vocabulary = vocabulary
        self.shape = shape
        # All weights lie in one array: the optimizer and the file treat them as one thing, the layers are views of it.
        self._weights: Floats = np.zeros(count_weights(len(vocabulary), shape), dtype=np.float32)
        self._layers = Layers.over(self._weights, len(vocabulary), shape)
        self._restart(seed)
        self._layers.randomize(self._random)

    @property
    def weight_count(self) -> int:
        """How many numbers the model has learned or will learn."""
        return self._weights.size

    @one_thread()
    def train(
        self,
        examples: Sequence[Example],
        steps: int,
        on_step: Callable[[int, float], None] | None = None,
        *,
        batch: int = 32,
        rate: float = RATE,
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

    @one_thread()
    def step(self, batch: Sequence[Example], rate: float = RATE) -> float:
        """Learn once from `batch`, as it comes from a loader; returns its loss (nats a word) before the step.

        Raises InvalidInput for an empty batch.
        """
        if not batch:
            raise InvalidInput("training: expected at least one example in a batch, found none")
        return self._step([self._forget(self._encode(example)) for example in batch], rate)

    @one_thread()
    def loss(self, examples: Sequence[Example]) -> float:
        """The mean loss over all words of the responses in `examples`, in nats a word; learns nothing.

        Raises InvalidInput for no examples.
        """
        if not examples:
            raise InvalidInput("loss: expected at least one example, found none")
        total, words = 0.0, 0
        for at in range(0, len(examples), 64):
            pass_ = Pass([self._encode(example) for example in examples[at : at + 64]], self._layers)
            total += float(pass_.losses.sum(dtype=np.float64))
            words += pass_.losses.size
        return total / words

    @one_thread()
    def answer(self, prompt: str, max_words: int = 24, temperature: float = 0.0, rng: np.random.Generator | None = None) -> str:
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
        head = _Head((self.shape.embedding, self.shape.recent, self.shape.hidden), self.vocabulary.words)
        return MAGIC + canonical.encode(head) + b"\n" + self._weights.astype("<f4").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes, seed: int = 0) -> "LanguageModel":
        """Read what `to_bytes` wrote; `seed` orders the examples of further training.

        Raises InvalidInput for anything else.
        """
        if not data.startswith(MAGIC):
            raise InvalidInput(f"model: expected to begin with {MAGIC!r}, found {data[: len(MAGIC)]!r}")
        line, _, body = data[len(MAGIC) :].partition(b"\n")
        head = canonical.decode(line, _Head, what="model head")
        shape, vocabulary = Shape(*head.shape), Vocabulary(head.words)
        expected = 4 * count_weights(len(vocabulary), shape)
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

    def _encode(self, example: Example) -> Encoded:
        return self.vocabulary.encode(example.prompt), self.vocabulary.encode(example.response)

    def _forget(self, example: Encoded) -> Encoded:
        """`example` with some words of its prompt made UNKNOWN, so that no answer hangs on every word of a question."""
        prompt, response = example
        kept = self._random.random(len(prompt)) >= FORGET
        return [word if keep else UNKNOWN for word, keep in zip(prompt, kept, strict=True)], response

    def _step(self, batch: Sequence[Encoded], rate: float) -> float:
        """One step of Adam (Kingma and Ba, 2015) on the mean loss of `batch`."""
        pass_ = Pass(batch, self._layers)
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


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    shape: tuple[int, int, int]
    words: tuple[str, ...]
