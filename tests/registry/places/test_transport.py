"""Requests to one address: what is sent there, what is sent nowhere else, and what becomes of every bad answer."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from inbond.registry.places import transport as transports
from inbond.registry.places.transport import Transport, address_of
from inbond.schemas.errors import (
    Conflict,
    InbondError,
    Inconclusive,
    InvalidInput,
    NotFound,
    NotPermitted,
    PolicyDenied,
    StoreError,
    Unauthenticated,
    VerificationError,
)
from tests.registry.places.scripted import Answering, Asked, Said, Scripted, serving

TOKEN = "inb_0123abcd_" + "Z" * 43

Serve = Callable[[Answering], Scripted]
Reach = Callable[..., Transport]


@dataclass
class Told:
    text: str


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def serve(answering: Answering) -> Scripted:
            server = Scripted(answering)
            stack.enter_context(serving(server))
            return server

        yield serve


@pytest.fixture
def reach() -> Iterator[Reach]:
    with ExitStack() as stack:

        def reach(server: Scripted, token: str | None = TOKEN, patience: float = 5.0) -> Transport:
            transport = Transport(server.url, token, patience=patience)
            stack.callback(transport.close)
            return transport

        yield reach


def problem(status: int, type: str = "", **members: object) -> Said:
    kind = f"urn:inbond:problem:{type}"
    return Said(status, json.dumps({"type": kind, "title": "t", "status": status, **members}).encode())


# -- where a token may go --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://registry.example", "https://registry.example"),
        ("https://registry.example:8443/inbond/", "https://registry.example:8443/inbond"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.8.9.1", "http://127.8.9.1"),
        ("http://[::1]:9/", "http://[::1]:9"),
        ("http://localhost:1", "http://localhost:1"),
    ],
)
def test_addresses_that_a_token_may_be_sent_to(url: str, address: str) -> None:
    assert address_of(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "http://registry.example",
        "http://10.0.0.1",
        "http://127.0.0.1.example.org",
        "http://localhost.example.org",
        "http://2130706433",
        "http://0.0.0.0",
        "https://user:secret@registry.example",
        "http://127.0.0.1@registry.example",
        "https://registry.example/?q",
        "https://registry.example/#f",
        "https://registry.example/ x",
        "https://registry.example\\@other.example",
        "https://",
        "https:///x",
        "https://registry.example:0",
        "https://registry.example:99999",
        "https://registry.example\n",
        "ftp://registry.example",
        "file:///etc/passwd",
        "registry.example",
        "https://[::1",
    ],
)
def test_addresses_that_are_refused_and_no_password_is_repeated(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        address_of(url)
    assert "secret" not in f"{caught.value.message} {caught.value.hint}"


def test_a_token_goes_to_its_server_and_not_where_a_redirect_leads(
    serve: Serve, reach: Reach, caplog: pytest.LogCaptureFixture
) -> None:
    other = serve(lambda _: Said(200, b'{"text":"caught"}'))
    server = serve(lambda _: Said(302, headers={"Location": f"{other.url}/caught"}))
    caplog.set_level(logging.DEBUG)
    with pytest.raises(StoreError, match="expected an answer, found status 302, which leads to") as caught:
        reach(server).json("/v1/x", Told)
    assert server.asked[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert not other.asked
    assert TOKEN not in caplog.text + caught.value.message


def test_a_token_is_taken_out_of_what_a_server_says(serve: Serve, reach: Reach) -> None:
    server = serve(
        lambda asked: problem(
            403,
            "not-permitted",
            detail=f"no: {asked.headers['authorization']}\x1b[2J",
            hint=TOKEN,
            seen=[TOKEN],
            deep={"a": TOKEN},
        )
    )
    with pytest.raises(NotPermitted) as caught:
        reach(server).get("/v1/x")
    assert TOKEN not in f"{caught.value.message} {caught.value.hint} {caught.value.members}"
    assert caught.value.message == "no: Bearer [token]?[2J"


def test_a_token_of_two_lines_is_refused_without_being_shown() -> None:
    with pytest.raises(InvalidInput) as caught:
        Transport("http://127.0.0.1:1", TOKEN + "\nX-Other: 1")
    assert TOKEN not in caught.value.message


def test_a_proxy_of_the_environment_sees_nothing_that_is_sent_to_this_machine(
    serve: Serve, reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, server = serve(lambda _: Said(200, b"caught")), serve(lambda _: Said(200, b"here"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    assert reach(server).get("/v1/x") == b"here"
    assert not proxy.asked


# -- what a server says ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        (problem(404, "not-found", detail="no such thing"), NotFound, "no such thing"),
        (problem(403, "policy-denied", detail="recalled"), PolicyDenied, "recalled"),
        (problem(409, "conflict", detail="another"), Conflict, "another"),
        (problem(401, "unauthenticated", detail="who?"), Unauthenticated, "who?"),
        (problem(413, "too-large", detail="too long"), InvalidInput, "too long"),
        (problem(500, "unexpected", detail="boom"), InbondError, "boom"),
        (Said(500, b"<html>"), StoreError, "found status 500"),
        (Said(418, b""), InvalidInput, "found status 418"),
        (Said(403, b"[" * 60_000), NotPermitted, "found status 403"),
        (Said(403, b'{"type":7,"detail":{}}'), NotPermitted, "found status 403"),
        (Said(404, b"x" * 100_000), NotFound, "found status 404"),
        (Said(404, b'{"type":"urn:inbond:problem:conflict","detail":"named","message":"m","self":1}'), Conflict, "named"),
        (Said(200, b"not json"), VerificationError, "answer to /v1/x"),
        (Said(200, b'{"text":1}'), VerificationError, "answer to /v1/x"),
        (Said(200, b'{"text":' + b"[" * 100_000), VerificationError, "answer to /v1/x"),
        (Said(200, b'{"text":"\xff"}'), VerificationError, "answer to /v1/x"),
        (Said(200, b'{"text":"\\u001b[2J"}'), VerificationError, "control characters"),
        (Said(200, b'{"text":"\\\\\\u007F"}'), VerificationError, "control characters"),
        (Said(200, b"{}", {"Content-Encoding": "gzip"}), VerificationError, "found them encoded"),
        (Said(304), StoreError, "found status 304"),
    ],
)
def test_every_bad_answer_is_an_error_that_says_so(
    serve: Serve, reach: Reach, said: Said, kind: type[InbondError], message: str
) -> None:
    with pytest.raises(InbondError) as caught:
        reach(serve(lambda _: said)).json("/v1/x", Told)
    assert isinstance(caught.value, kind)
    assert message in caught.value.message


def test_an_answer_without_end_is_not_read_to_its_end(serve: Serve, reach: Reach) -> None:
    server = serve(lambda _: Said(200, b"x" * 200_000))
    with pytest.raises(VerificationError, match="expected at most 1000 bytes"):
        reach(server, None).get("/v1/x", limit=1000)


def test_who_has_no_token_hears_where_it_belongs(serve: Serve, reach: Reach) -> None:
    with pytest.raises(Unauthenticated) as caught:
        reach(serve(lambda _: problem(401, "unauthenticated", detail="who?")), None).get("/v1/x")
    assert "INBOND_TOKEN" in str(caught.value.hint)


# -- again, and how long ---------------------------------------------------------------------------------------------------


def answers(*said: Said) -> Answering:
    """Each answer once, the last one for ever."""
    waiting = list(said)
    return lambda _: waiting.pop(0) if len(waiting) > 1 else waiting[0]


HERE = Said(200, b'{"text":"here"}')


@pytest.mark.parametrize(
    "first",
    [
        Said(drop=True),
        Said(200, b'{"text":"here"}', only=4),
        Said(502),
        Said(429, headers={"Retry-After": "0"}),
        Said(503, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    ],
)
def test_what_may_pass_is_asked_again(serve: Serve, reach: Reach, first: Said) -> None:
    server = serve(answers(first, first, HERE))
    assert reach(server, None).json("/v1/x", Told) == Told("here")
    assert len(server.asked) == 3


@pytest.mark.parametrize("said", [Said(500), Said(404), Said(503), Said(429), Said(200, b"{")])
def test_what_will_not_pass_is_asked_once(serve: Serve, reach: Reach, said: Said) -> None:
    server = serve(lambda _: said)
    with pytest.raises(InbondError):
        reach(server, None).json("/v1/x", Told)
    assert len(server.asked) == 1


def test_patience_ends(serve: Serve, reach: Reach) -> None:
    server = serve(lambda _: Said(drop=True))
    with pytest.raises(StoreError, match=f"could not reach {server.url}"):
        reach(server, patience=0.3).get("/v1/x")
    said = problem(429, "not-permitted", detail="later")
    said.headers["Retry-After"] = "3600"
    asked = reach(serve(lambda _: said))
    with pytest.raises(NotPermitted, match="later"):  # a pause that patience has not, is not begun
        asked.get("/v1/x")


def test_nobody_there_is_found_out_soon(unused_port: int) -> None:
    with pytest.raises(StoreError, match=f"could not reach http://127.0.0.1:{unused_port}") as caught:
        Transport(f"http://127.0.0.1:{unused_port}", patience=0.1).post("/v1/x", b"{}", Told)
    assert "is the server running" in str(caught.value.hint)


@pytest.fixture
def unused_port() -> int:
    server = Scripted(lambda _: HERE)
    server.server_close()
    return server.server_port


def test_a_statement_without_an_answer_is_sent_again(serve: Serve, reach: Reach) -> None:
    server = serve(answers(Said(drop=True), Said(201, b'{"text":"made"}')))
    assert reach(server, None).post("/v1/x", b"{}", Told) == (True, Told("made"))
    assert [asked.body for asked in server.asked] == [b"{}", b"{}"]


def test_a_statement_whose_answer_never_comes_may_be_on_record(serve: Serve, reach: Reach) -> None:
    server = serve(lambda _: Said(drop=True))
    with pytest.raises(Inconclusive, match="it is not known whether what was sent is on record") as caught:
        reach(server, patience=0.2).post("/v1/x", b"{}", Told)
    assert "send the same again" in str(caught.value.hint)


def test_what_must_not_be_doubled_is_sent_once(serve: Serve, reach: Reach) -> None:
    server = serve(lambda _: Said(drop=True))
    with pytest.raises(Inconclusive) as caught:
        reach(server, None).post("/v1/x", b"{}", Told, once=True)
    assert len(server.asked) == 1
    assert "look whether" in str(caught.value.hint)


def test_a_refusal_of_what_was_posted_is_an_answer(serve: Serve, reach: Reach) -> None:
    refused = reach(serve(lambda _: problem(403, "policy-denied", detail="no")), None).post("/v1/x", b"{}", Told)
    assert isinstance(refused, PolicyDenied)


def test_an_upload_begins_anew_after_a_lost_connection(serve: Serve, reach: Reach) -> None:
    server = serve(answers(Said(drop=True), HERE))
    assert reach(server, None).put("/v1/o", lambda: iter([b"ab", b"cd"]), 4, Told) == Told("here")
    assert [asked.body for asked in server.asked] == [b"abcd", b"abcd"]
    assert "transfer-encoding" not in server.asked[0].headers


def test_an_answer_that_drips_is_not_waited_for_for_ever(serve: Serve, reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "_MAX_SECONDS", -1.0)
    with pytest.raises(StoreError, match="expected all of it within"):
        reach(serve(lambda _: HERE), None).get("/v1/x")


def test_names_are_quoted_and_what_is_closed_asks_nothing_more(serve: Serve, reach: Reach) -> None:
    server = serve(lambda asked: Said(200, json.dumps(asked.path).encode()))
    transport = reach(server)
    assert transport.get("/v1/b", [("q", "ä &=")]) == b'"/v1/b?q=%C3%A4+%26%3D"'
    transport.close()
    with pytest.raises(InvalidInput, match="found it closed"):
        transport.get("/v1/a")


def test_text_with_lines_and_backslashes_is_text(serve: Serve, reach: Reach) -> None:
    told = b'{"text":"a\\nb\\t\\\\u001b"}'
    assert reach(serve(lambda _: Said(200, told))).json("/v1/x", Told) == Told("a\nb\t\\u001b")


def test_methods_are_what_they_say(serve: Serve, reach: Reach) -> None:
    server = serve(lambda asked: Said(201, b'{"text":"x"}'))
    transport = reach(server, None)
    transport.post("/p", b"1", Told)
    assert [(asked.method, asked.headers["content-type"]) for asked in server.asked] == [("POST", "application/json")]
    assert "authorization" not in server.asked[0].headers
    assert isinstance(server.asked[0], Asked)
