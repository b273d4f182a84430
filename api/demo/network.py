"""The arithmetic of a demo model: its layers, the way forward through them and the way back, in float32.

The next word is scored from the sum of all words so far (each a row of `Layers.words`) and from the last few of them
in order, through one hidden layer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from inbond.api.demo.vocabulary import END, START, UNKNOWN
from inbond.schemas.errors import InvalidInput

MAX_LAYER = 4_096

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Encoded = tuple[list[int], list[int]]
"""The numbers of the words of a prompt, and those of its response."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a model is: numbers per word, words it sees in order, width of the hidden layer.

    Raises InvalidInput for a size below 1 or above MAX_LAYER.
    """

    embedding: int
    recent: int
    hidden: int

    def __post_init__(self) -> None:
        if not all(1 <= size <= MAX_LAYER for size in (self.embedding, self.recent, self.hidden)):
            raise InvalidInput(f"model shape: expected sizes from 1 to {MAX_LAYER}, found {self}")


TEACHER = Shape(embedding=48, recent=4, hidden=160)
STUDENT = Shape(embedding=40, recent=4, hidden=96)


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers of a model as views of one array of weights (or of one array of slopes)."""

    words: Floats  # vocabulary x embedding
    inner: Floats  # (1 + recent) * embedding x hidden
    inner_bias: Floats  # hidden
    outer: Floats  # hidden x vocabulary
    outer_bias: Floats  # vocabulary

    @classmethod
    def over(cls, weights: Floats, vocabulary: int, shape: Shape) -> Self:
        """The layers for `vocabulary` words and `shape` as views of `weights` (as many as `count_weights` says)."""
        views, at = [], 0
        for size in _sizes(vocabulary, shape):
            count = math.prod(size)
            views.append(weights[at : at + count].reshape(size))
            at += count
        return cls(*views)

    def randomize(self, random: np.random.Generator) -> None:
        """Set the weights of a model that has learned nothing; biases stay as they are."""
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


class Pass:
    """One way forward through the layers for a batch of encoded (prompt, response), kept for the way back.

    Sequences are padded to one length with END; `counts` marks the places whose next word belongs to a response, and
    only those pass through the hidden layer. A sequence only looks back, so padding behind it changes nothing.
    """

    def __init__(self, batch: Sequence[Encoded], layers: Layers) -> None:
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

    def slope(self, layers: Layers) -> Floats:
        """The slope of the mean loss in every weight, in the order of the weights; uses up the pass."""
        vocabulary, size = layers.words.shape
        shape = Shape(size, layers.inner.shape[0] // size - 1, layers.inner.shape[1])
        slopes: Floats = np.empty(count_weights(vocabulary, shape), dtype=np.float32)
        out = Layers.over(slopes, vocabulary, shape)

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


def _sizes(vocabulary: int, shape: Shape) -> tuple[tuple[int, ...], ...]:
    wide = (1 + shape.recent) * shape.embedding
    return (vocabulary, shape.embedding), (wide, shape.hidden), (shape.hidden,), (shape.hidden, vocabulary), (vocabulary,)


def count_weights(vocabulary: int, shape: Shape) -> int:
    """How many numbers a model of `shape` over `vocabulary` words has."""
    return sum(math.prod(size) for size in _sizes(vocabulary, shape))


def _sum_by_word(words: Integers, values: Floats, vocabulary: int) -> Floats:
    """Row w of the result is the sum of the rows of `values` whose word is w."""
    order = np.argsort(words, kind="stable")
    ordered = words[order]
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    result: Floats = np.zeros((vocabulary, values.shape[1]), dtype=np.float32)
    result[ordered[first]] = np.add.reduceat(values[order], first, axis=0)
    return result
