"""Whatever goes wrong is told as a problem, and says nothing of this machine."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Response, get
from litestar.params import FromPath
from litestar.response import Stream

from inbond.api import problems
from inbond.api.app import create_app
from inbond.api.auth import PUBLIC
from inbond.api.logs import RequestLog
from inbond.api.serving import address_of, listening
from inbond.schemas import errors
from tests.api.http.serving import copied, problem, running
from tests.registry.world import World

SECRET = "/somewhere/on/this/machine"
RAISED: dict[str, Exception] = {
    **{
        kind.__name__: kind("expected this, found that", hint="do this", number=7)
        for kind in (
            errors.InvalidInput, errors.VerificationError, errors.NotPermitted, errors.Unauthenticated, errors.PolicyDenied,
            errors.Inconclusive, errors.NotFound, errors.Conflict,
        )
    },
    "StoreError": errors.StoreError(f"{SECRET}: disk full"),
    "ValueError": ValueError(SECRET),
    "OSError": OSError(28, "No space left on device", SECRET),
}  # fmt: skip


@get("/v1/raises/{name:str}", sync_to_thread=True, opt=PUBLIC.opt, operation_id="raises")
def raises(name: FromPath[str]) -> Response[str]:
    raise RAISED[name]


@get("/v1/breaks", sync_to_thread=True, opt=PUBLIC.opt, operation_id="breaks")
def breaks() -> Stream:
    def pieces() -> Iterator[bytes]:
        yield b"a beginning"
        raise OSError(5, "Input/output error", SECRET)

    return Stream(pieces(), headers={"content-length": "100"})


@dataclass
class Raising:
    """A server with routes that raise, and the lines of its log."""

    url: str
    lines: list[bytes]
    folder: Path

    def lines_about(self, id: str) -> list[Any]:
        """What the log says about a request, whose own line comes last."""
        deadline = time.monotonic() + 5
        while True:
            found = [json.loads(line) for line in list(self.lines) if id.encode() in line]
            if any("status" in line for line in found) or time.monotonic() > deadline:
                return found
            time.sleep(0.005)


@pytest.fixture(scope="module")
def server(lived_in: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Raising]:
    folder = tmp_path_factory.mktemp("raising") / "world"
    lines: list[bytes] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        world = World(copied(lived_in, folder))
        RAISED["private"] = errors.NotFound(f"{world.folder}/keys/x.key is not there", hint=f"look into {world.folder}")
        app = create_app(world.registry, log=RequestLog(lines.append), more=[raises, breaks])
        with listening("127.0.0.1", 0) as bound, running(app, bound):
            yield Raising(address_of(bound), lines, world.folder)
        world.registry.close()


@pytest.mark.parametrize("name", [name for name, error in RAISED.items() if isinstance(error, errors.InbondError)])
def test_an_error_of_ours_is_its_problem(server: Raising, name: str) -> None:
    error = RAISED[name]
    assert isinstance(error, errors.InbondError)
    answer = httpx.get(f"{server.url}/v1/raises/{name}")
    found = problem(answer, error.status, error.type.rpartition(":")[2])
    assert found["title"] == error.title
    assert ("retry-after" in answer.headers) == (error.status == 503)
    assert ("www-authenticate" in answer.headers) == (error.status == 401)
    if name != "StoreError":
        assert (found["detail"], found["hint"], found["number"]) == ("expected this, found that", "do this", 7)


def test_members_do_not_replace_what_a_problem_is(server: Raising) -> None:
    RAISED["sly"] = errors.Conflict("x", status=200, type="y", instance="z", title=b"t")
    problem(httpx.get(f"{server.url}/v1/raises/sly"), 409, "conflict")


@pytest.mark.parametrize("name", ["StoreError", "ValueError", "OSError"])
def test_what_the_operator_must_know_is_in_the_log_alone(server: Raising, name: str) -> None:
    answer = httpx.get(f"{server.url}/v1/raises/{name}")
    assert answer.status_code in (500, 503)
    assert SECRET not in answer.text
    assert name not in answer.text or name == "StoreError"
    failure, line = server.lines_about(answer.headers["x-request-id"])
    assert SECRET in failure["error"]
    assert any("test_problems.py" in place for place in failure["at"])
    assert line["status"] == answer.status_code
    assert line["level"] == "error"


def test_folders_of_this_machine_are_not_named(server: Raising) -> None:
    answer = httpx.get(f"{server.url}/v1/raises/private")
    found = problem(answer, 404, "not-found")
    assert str(server.folder) not in answer.text
    assert found["detail"] == "…/keys/x.key is not there"


def test_an_answer_that_breaks_off_is_seen_to(server: Raising) -> None:
    with pytest.raises(httpx.RemoteProtocolError), httpx.Client(base_url=server.url) as client:
        client.get("/v1/breaks", headers={"X-Request-Id": "broken-off"})
    failure, line = server.lines_about("broken-off")
    assert SECRET in failure["cause"]
    assert line["status"] == 200
    assert httpx.get(f"{server.url}/health/live").status_code == 200


def test_every_problem_type_is_one_of_a_kind() -> None:
    kinds = [errors.InbondError, *_below(errors.InbondError)]
    ours = [kind for kind in kinds if kind.__module__.startswith("inbond.")]
    types = [kind.type for kind in ours]
    assert len(types) == len(set(types))
    assert problems.TooLarge in ours


def _below(kind: type[Any]) -> list[type[Any]]:
    return [each for sub in kind.__subclasses__() for each in (sub, *_below(sub))]
