"""The quick way through log-probabilities gives what the parser gives, or leaves the record to it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.registry.importers import Input, importer, logprobs_text
from inbond.registry.importers.element import Element
from inbond.registry.importers.fields import Fault, Fields
from inbond.registry.importers.logprobs_text import cut
from tests.registry.importers.seen import in_lists, record

TEXTS = (
    st.text(alphabet=st.sampled_from('a"\\{}[],: \n é😀\ufffd'), max_size=6) | st.just('"logprob": -1.0') | st.just("logprobs")
)
NUMBERS = st.floats(-20000, 0) | st.integers(-9999, 0) | st.sampled_from([-1e-7, -6.38484e-05, -0.0, -9999.0, 1e-9])


@st.composite
def entry(draw: st.DrawFn, *, top: int | None = None) -> dict[str, Any]:
    text = draw(TEXTS)
    value: dict[str, Any] = {"token": text}
    form = draw(st.sampled_from(["same", "other", "null", "none"]))
    if form != "none":
        value["bytes"] = {"same": list(text.encode()), "other": [0xE2, 0x80], "null": None}[form]
    value["logprob"] = draw(NUMBERS)
    if top is not None:
        value["top_logprobs"] = draw(st.lists(entry(), max_size=top))
    return value


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    choices = []
    for index in range(draw(st.integers(1, 3))):
        content = draw(st.none() | st.lists(entry(top=3), max_size=4))
        logprobs: Any = {"content": content}
        if draw(st.booleans()):
            logprobs = {"refusal": None, **logprobs}
        choice: dict[str, Any] = {"index": index, "message": {"role": "assistant", "content": draw(TEXTS)}, "logprobs": logprobs}
        if draw(st.booleans()):
            choice = {"logprobs": choice.pop("logprobs"), **choice}
        if draw(st.integers(0, 9)) == 0:
            choice["message"]["logprobs"] = logprobs
        choices.append(choice)
    return {"id": draw(TEXTS), "choices": choices, "note": draw(TEXTS)}


def both(raw: bytes) -> tuple[Any, Any]:
    """What the import gives, and what it gives where nothing is cut out."""
    made = [importer("chat-completions").converter({}) for _ in range(2)]
    found: list[Any] = []
    for converter, way in zip(made, ("convert_element", "convert"), strict=True):
        try:
            given = converter.convert_element(Element(raw, 1, 1)) if way == "convert_element" else converter.convert(Fields(raw))
            found.append(list(map(in_lists, given)))
        except Fault as fault:
            found.append((fault.field, fault.reason))
        except ValueError:
            found.append("no JSON")
    return found[0], found[1]


@settings(max_examples=80, deadline=None)
@given(bodies(), st.sampled_from([(",", ":"), (", ", ": ")]), st.booleans(), st.sampled_from([None, 1]))
def test_both_ways_give_the_same(body: dict[str, Any], separators: tuple[str, str], ascii_only: bool, indent: int | None) -> None:
    raw = json.dumps(body, separators=separators, ensure_ascii=ascii_only, indent=indent).encode()
    quick, slow = both(raw)
    assert quick == slow


@settings(max_examples=60, deadline=None)
@given(bodies(), st.data())
def test_both_ways_give_the_same_of_damaged_text(body: dict[str, Any], data: st.DataObject) -> None:
    line = bytearray(json.dumps(body, separators=(",", ":")).encode())
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.integers(0, len(line) - 1))
        line[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"", b'"', b"}", b"]", b",", b"0", b"1e", b"x", b"\xff"])
        )
    quick, slow = both(bytes(line))
    assert quick == slow


def answer(tokens: int, **more: Any) -> bytes:
    top = [{"token": " the", "bytes": [32, 116, 104, 101], "logprob": -0.25}, {"token": "\n", "bytes": [10], "logprob": -2.5}]
    content = [{**top[0], "top_logprobs": top} for _ in range(tokens)]
    return json.dumps(
        {"choices": [{"message": {"content": "x"}, "logprobs": {"content": content, "refusal": None}, **more}]}
    ).encode()


def test_the_usual_layouts_are_cut() -> None:
    for raw in (answer(3), answer(3).replace(b": ", b":").replace(b", ", b",")):
        found = cut(raw)
        assert found is not None
        assert len(found.text) < 200
        ((mark, logprobs),) = found.found.items()
        assert json.loads(found.text)["choices"][0]["logprobs"]["content"] == json.loads(mark)
        assert logprobs.tokens == [b" the"] * 3
        assert logprobs.counts.tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    "change",
    [
        (b'"logprob": -2.5', b'"logprob": -02.5'),
        (b'"logprob": -2.5', b'"logprob": "-2.5"'),
        (b'"logprob": -2.5', b'"logprob": -2 .5'),
        (b"-2.5}", b"}-2.5"),
        (b"-2.5}", b"-2.}5"),
        (b"-2.5}]}", b"-2.5]}}"),
        (b"-2.5}]}", b"-2.5|"),
        (b"-0.25}, ", b"-0.25}]}, "),
        (b"-2.5}]}, ", b"-2.5}, "),
        (b'-0.25, "top_logprobs": [', b'-0.25, "top_logprobs": []}, '),
        (b'-0.25, "top_logprobs": [', b"-0.25}, "),
        (b"-2.5}", b"-2.5" + b" " * 300 + b"}"),
        (b'"bytes": [10]', b'"bytes": [256]'),
        (b'"bytes": [10]', b'"bytes": [10,]'),
        (b'"token": "\\n"', b'"token": "\\q"'),
        (b'"token": "\\n"', b'"token": "\\ud800"'),
        (b'"token": "\\n"', b'"token": "\xff"'),
        (b'"token": "\\n"', b'"token": "token_id:7"'),
        (b'"top_logprobs"', b'"top"'),
    ],
)
def test_another_layout_is_left_to_the_parser(change: tuple[bytes, bytes]) -> None:
    raw = answer(2).replace(*change, 1)
    assert raw != answer(2)
    assert cut(raw) is None
    quick, slow = both(raw)
    assert quick == slow


def test_a_position_without_alternatives_is_left_to_the_parser() -> None:
    body = json.loads(answer(3))
    del body["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    raw = json.dumps(body).encode()
    assert cut(raw) is None
    quick, slow = both(raw)
    assert quick == slow


def test_a_line_that_breaks_off_is_left_to_the_parser() -> None:
    assert cut(answer(3)) is not None
    raw = answer(3)
    assert cut(raw[: raw.rindex(b'"logprob"')]) is None


def test_what_stands_in_another_place_is_put_back() -> None:
    inner = json.loads(answer(2))["choices"][0]["logprobs"]
    raw = json.dumps({"choices": [{"message": {"content": "x"}}], "other": {"logprobs": inner}}).encode()
    assert cut(raw) is not None
    quick, slow = both(raw)
    assert quick == slow
    assert json.loads(record(quick[0]).extra or "") == {"other": {"logprobs": inner}}


def test_a_name_with_quotes_in_it_is_not_taken_for_another() -> None:
    raw = answer(1).replace(b'"logprobs"', b'"x\\"logprobs"')
    assert cut(raw) is None


def test_what_is_known_is_forgotten_when_it_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logprobs_text, "_MOST_KNOWN", 2)
    monkeypatch.setattr(logprobs_text, "_layouts", before := logprobs_text._Layouts())
    first, slow = both(answer(5))
    again, _ = both(answer(5))
    assert first == slow == again
    assert logprobs_text._layouts is not before


def test_whole_files_give_the_same(run_import: Callable[..., Any], tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(b"[" + b",\n".join([answer(2, index=number) for number in range(20)]) + b"]")
    found = list(map(in_lists, importer("chat-completions").records([Input(path)])))
    monkeypatch.setattr("inbond.registry.importers.cutting.cut", lambda _raw: None)
    assert list(map(in_lists, importer("chat-completions").records([Input(path)]))) == found
    assert len(found) == 20
