import hashlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.api.demo.corpus import Corpus, Pair, load, parse
from inbond.api.demo.model import STUDENT, Example, LanguageModel, Shape, Vocabulary
from inbond.api.demo.network import Layers, Pass
from inbond.api.demo.threads import one_thread
from inbond.api.demo.vocabulary import UNKNOWN
from inbond.schemas.errors import InvalidInput

TINY = Shape(embedding=6, recent=2, hidden=8)
TALK = (
    Example("", "The cat sleeps in the loft."),
    Example("Where does the cat sleep?", "It sleeps in the loft."),
    Example("What burns?", "Peat burns in May."),
)


def words_of(examples: tuple[Example, ...]) -> Vocabulary:
    return Vocabulary.of(text for example in examples for text in example)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load()


@pytest.fixture(scope="module")
def base(corpus: Corpus) -> LanguageModel:
    model = LanguageModel(Vocabulary.of(corpus.texts()), seed=1, shape=STUDENT)
    model.train(corpus.running_text(), 60)
    return model


@pytest.fixture(scope="module")
def aligned(corpus: Corpus, base: LanguageModel) -> LanguageModel:
    model = base.continued(seed=2)
    model.train(corpus.dialogue(), 110)
    return model


def test_the_shipped_corpus_has_the_size_the_demo_speaks_of(corpus: Corpus) -> None:
    prompts = corpus.prompts()
    assert len(corpus.statements) > 250
    assert len(corpus.pairs) > 250
    assert len({prompt.text for prompt in prompts}) == len(prompts) > 400
    assert sum(not prompt.trained for prompt in prompts) > 100
    asked = {example.prompt for example in corpus.dialogue()}
    assert all((prompt.text in asked) == prompt.trained for prompt in prompts)
    assert 400 <= len(Vocabulary.of(corpus.texts())) <= 1000


def test_a_paragraph_is_learned_as_running_text() -> None:
    read = parse("# title\n- One.\n- Two.\n? Which?\n~ What?\n! One.\n\n- Three.\n")
    assert read == Corpus((("One.", "Two."), ("Three.",)), (Pair("Which?", "One.", ("What?",)),))
    assert read.running_text() == (Example("", "One."), Example("One.", "Two."), Example("", "Three."))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\nb\n", "line 2: expected '- '"),
        ("- a\n! b\n", "line 2: expected a question first"),
        ("- a\n~ b\n", "line 2: expected a question first"),
        ("- a\n? b\n- c\n", "line 3: expected its rewording or its answer"),
        ("- a\n? b\n", "line 3: expected statements and answered questions up to the end, found a question without"),
        ("? b\n! c\n", "line 3: expected statements"),
        ("- \n", "line 1: expected '- '"),
        ("", "line 1: expected statements"),
    ],
)
def test_a_malformed_corpus_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        parse(text)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(["- a", "? b", "~ c", "! d", "", "# e", "-", "x", "- \x00é"]), max_size=9).map("\n".join))
def test_any_corpus_is_read_or_refused(text: str) -> None:
    try:
        read = parse(text)
    except InvalidInput:
        return
    assert sum(len(paragraph) for paragraph in read.paragraphs) == text.count("- ")
    assert len(read.pairs) == text.count("! d")


def test_decoding_gives_back_the_text(corpus: Corpus) -> None:
    vocabulary = Vocabulary.of(corpus.texts())
    for text in corpus.texts():
        assert vocabulary.decode(vocabulary.encode(text)) == text
    assert len(vocabulary.encode("May")) == 1
    assert vocabulary.encode("in May") != vocabulary.encode("in may")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=20), max_size=5))
def test_a_vocabulary_of_any_texts_knows_them(texts: list[str]) -> None:
    vocabulary = Vocabulary.of(texts)
    for text in texts:
        numbers = vocabulary.encode(text)
        assert UNKNOWN not in numbers
        assert all(number < len(vocabulary) for number in numbers)


@pytest.mark.parametrize("words", [["a", "a"], ["two words"], [""], ["<end>"], ["a\n"]])
def test_words_that_no_text_has_are_refused(words: list[str]) -> None:
    with pytest.raises(InvalidInput, match="vocabulary: expected"):
        Vocabulary(words)


def test_slopes_agree_with_differences_of_the_loss() -> None:
    vocabulary = words_of(TALK)
    model = LanguageModel(vocabulary, seed=3, shape=TINY)
    batch = [(vocabulary.encode(example.prompt), vocabulary.encode(example.response)) for example in TALK]
    # Twice as many digits as the model uses, so that the difference is the slope's and not the rounding's.
    weights = np.random.default_rng(5).normal(scale=0.5, size=model.weight_count)
    layers = Layers.over(weights, len(vocabulary), TINY)  # type: ignore[arg-type]
    slope = Pass(batch, layers).slope(layers)
    for at in np.random.default_rng(6).choice(model.weight_count, 150, replace=False):
        losses = []
        for sign in (1, -1):
            moved = weights.copy()
            moved[at] += sign * 1e-3
            losses.append(float(Pass(batch, Layers.over(moved, len(vocabulary), TINY)).losses.mean()))  # type: ignore[arg-type]
        assert slope[at] == pytest.approx((losses[0] - losses[1]) / 2e-3, abs=2e-4)


def test_the_next_word_is_scored_as_in_training() -> None:
    vocabulary = words_of(TALK)
    model = LanguageModel(vocabulary, seed=3, shape=TINY)
    model.train(TALK, 20, rate=1e-2)
    prompt, response = (vocabulary.encode(text) for text in TALK[1])
    batched = Pass([(prompt, response), *[([], vocabulary.encode(TALK[0].response))]], model._layers)
    for place in range(len(response)):
        scores = model._layers.next_scores([*prompt, 0, *response[:place]]).astype(np.float64)
        chances = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(batched.chances[place], chances, rtol=1e-4)


def test_a_fresh_model_holds_all_words_for_equally_likely_and_training_changes_that(
    corpus: Corpus, base: LanguageModel, aligned: LanguageModel
) -> None:
    vocabulary = base.vocabulary
    fresh = LanguageModel(vocabulary, seed=1, shape=STUDENT)
    assert fresh.loss(corpus.running_text()) == pytest.approx(math.log(len(vocabulary)), rel=0.02)
    assert base.loss(corpus.running_text()) < 4
    assert aligned.loss(corpus.dialogue()) < 0.8 < 2 < base.loss(corpus.dialogue())


def test_the_aligned_model_answers_and_a_student_follows_it(corpus: Corpus, aligned: LanguageModel) -> None:
    asked = [pair.question for pair in corpus.pairs[:40]]
    lesson = [Example(question, aligned.answer(question)) for question in asked]
    right = sum(example.response == pair.answer for example, pair in zip(lesson, corpus.pairs, strict=False))
    assert right > 20
    student = LanguageModel(words_of(tuple(lesson)), seed=4, shape=STUDENT)
    before = student.loss(lesson)
    heard = [student.step(lesson[at : at + 20]) for _ in range(40) for at in (0, 20)]
    assert before > 4 > 1 > np.mean(heard[-4:])
    assert sum(student.answer(example.prompt) == example.response for example in lesson) > 30


def test_equal_seeds_give_equal_bytes_and_other_seeds_others(corpus: Corpus) -> None:
    def trained(seed: int, steps: int = 5) -> tuple[list[float], str]:
        model = LanguageModel(Vocabulary.of(corpus.texts()), seed, STUDENT)
        losses = model.train(corpus.dialogue(), steps)
        return losses, hashlib.sha256(model.to_bytes()).hexdigest()

    assert trained(7) == trained(7)
    assert trained(7)[1] != trained(8)[1]


def test_continuing_leaves_the_model_as_it_was() -> None:
    first = LanguageModel(words_of(TALK), 1, TINY)
    before = first.to_bytes()
    one, two = first.continued(2), first.continued(2)
    assert one.to_bytes() == before
    assert one.train(TALK, 6, batch=2) == two.train(TALK, 6, batch=2)
    assert one.to_bytes() == two.to_bytes() != before == first.to_bytes()


def test_every_step_is_told() -> None:
    told: list[tuple[int, float]] = []
    losses = LanguageModel(words_of(TALK), 1, TINY).train(TALK, 4, lambda number, loss: told.append((number, loss)))
    assert told == list(enumerate(losses, 1))
    assert len(told) == 4


def test_saving_and_loading_is_exact(aligned: LanguageModel, corpus: Corpus) -> None:
    data = aligned.to_bytes()
    again = LanguageModel.from_bytes(data, seed=9)
    assert again.to_bytes() == data
    assert again.loss(corpus.dialogue()) == aligned.loss(corpus.dialogue())
    question = corpus.pairs[3].question
    assert again.answer(question) == aligned.answer(question)
    assert again.train(TALK, 2) == aligned.continued(9).train(TALK, 2)


def saved() -> bytes:
    return LanguageModel(words_of(TALK), 1, TINY).to_bytes()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "expected to begin with"),
        (saved()[1:], "expected to begin with"),
        (saved()[:-1], "bytes of weights, found"),
        (saved() + b"\0", "bytes of weights, found"),
        (saved().replace(b'"words"', b'"wards"'), "model head"),
        (saved().replace(b"[6,2,8]", b"[6, 2,8]"), "not canonical"),
        (saved().replace(b"[6,2,8]", b"[6,2,0]"), "expected sizes from 1"),
        (saved().replace(b"[6,2,8]", b"[6,2,900000000]"), "expected sizes from 1"),
        (saved().replace(b'"cat"', b'"May"'), "different words"),
        (saved().replace(b'"cat"', b'"c t"'), "single words"),
        (saved()[:-4] + np.float32("nan").tobytes(), "finite"),
    ],
)
def test_malformed_bytes_are_refused(data: bytes, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        LanguageModel.from_bytes(data)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_only_what_reads_back_the_same_is_loaded(at: int, change: bytes) -> None:
    data = saved()
    changed = data[:at] + change + data[at + len(change) :]
    try:
        model = LanguageModel.from_bytes(changed)
    except InvalidInput:
        return
    assert model.to_bytes() == changed


def test_unknown_words_are_heard_but_never_said(aligned: LanguageModel) -> None:
    assert aligned.vocabulary.encode("Zebras grow?")[0] == UNKNOWN
    said = aligned.answer("Where do the zebras grow in the \x00 xylophone 東京?")
    assert said
    assert "…" not in said
    assert aligned.answer("") == aligned.answer("")
    assert aligned.vocabulary.decode([UNKNOWN]) == "…"


def test_answers_are_bounded_and_drawn_from_the_given_generator(aligned: LanguageModel) -> None:
    question = "Where does the cooper work?"
    assert len(aligned.vocabulary.encode(aligned.answer(question, max_words=3))) == 3
    assert aligned.answer(question, max_words=0) == ""
    drawn = [aligned.answer(question, temperature=2.0, rng=np.random.default_rng(seed)) for seed in (1, 1, 2, 3, 4)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 1


@pytest.mark.parametrize("temperature", [-0.1, math.nan, math.inf, 1.0])
def test_a_temperature_without_sense_or_generator_is_refused(temperature: float, base: LanguageModel) -> None:
    with pytest.raises(InvalidInput, match="temperature"):
        base.answer("Who?", temperature=temperature)


def test_nothing_to_learn_from_is_refused(base: LanguageModel) -> None:
    for learn in (lambda: base.train([], 1), lambda: base.step([]), lambda: base.loss([])):
        with pytest.raises(InvalidInput, match="at least one example"):
            learn()


def test_the_thread_count_is_put_back() -> None:
    from inbond.api.demo.threads import _switches

    before = [ask() for ask, _ in _switches()]
    with one_thread():
        assert all(ask() == 1 for ask, _ in _switches())
    assert [ask() for ask, _ in _switches()] == before
