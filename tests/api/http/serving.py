"""A real server for tests: uvicorn in a thread on a free port, over a copy of a registry in which everything has happened."""

import json
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from litestar import Litestar

from inbond.api.app import create_app
from inbond.api.logs import RequestLog
from inbond.api.serving import address_of, config, listening
from inbond.api.settings import Settings
from inbond.api.tokens import TokenStore
from tests.registry.world import World

ROLES = ("producer", "trainer", "compliance", "auditor", "provider", "admin", "monitor")


@dataclass
class Server:
    """A running server, its registry, and tokens by name: of the operator by role, of the vendor as `vendor-<role>`."""

    url: str
    world: World
    app: Litestar
    tokens: dict[str, str]
    client: httpx.Client
    lines: list[bytes] = field(default_factory=list)

    def ask(self, method: str, path: str, who: str | None = None, **options: Any) -> httpx.Response:
        """Send a request, as the holder of the token called `who`, or as anybody."""
        headers = dict(options.pop("headers", {}))
        if who is not None:
            headers["Authorization"] = f"Bearer {self.tokens[who]}"
        return self.client.request(method, path, headers=headers, **options)

    def get(self, path: str, who: str | None = None, **options: Any) -> httpx.Response:
        return self.ask("GET", path, who, **options)

    def json(self, path: str, who: str | None = None, **options: Any) -> Any:
        """The JSON of an answer, which must be a success."""
        response = self.get(path, who, **options)
        assert response.status_code == 200, response.text
        return response.json()

    def ref(self, text: str, *kinds: str) -> str:
        return self.world.ref(text, *kinds)

    def path(self, ref: str) -> str:
        """The path of a thing."""
        from inbond.registry.places.paths import path_of

        return path_of(ref)

    def line(self, response: httpx.Response) -> Any:
        """The line in the server's log about the request behind an answer; it is written when the answer is out."""
        id = response.headers["x-request-id"]
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            for line in map(json.loads, list(self.lines)):
                if line["request"] == id and "status" in line:
                    return line
            time.sleep(0.005)
        raise AssertionError(f"no line about {id}")


def problem(response: httpx.Response, status: int, type: str) -> Any:
    """The problem in an answer, which must be one of this status and type."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found = response.json()
    assert found["type"] == f"urn:inbond:problem:{type}", found
    assert found["status"] == status
    assert found["title"]
    assert found["detail"]
    assert found["instance"] == f"urn:inbond:request:{response.headers['x-request-id']}"
    return found


def copied(source: Path, folder: Path) -> Path:
    """A copy of a registry with its state; returns the registry's folder."""
    shutil.copytree(source, folder)
    return folder / "registry"


def make_tokens(world: World) -> dict[str, str]:
    """A token for each role of the operator, and for some of the vendor."""
    store = TokenStore(world.folder)
    vendor = world.ref("vendor", "party")
    made = {role: store.add(world.registry.operator, [role])[0] for role in ROLES}
    return made | {f"vendor-{role}": store.add(vendor, [role])[0] for role in ("trainer", "provider", "compliance", "producer")}


@contextmanager
def served(world: World, settings: Settings | None = None, tokens: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Serve a world until the end."""
    lines: list[bytes] = []
    app = create_app(world.registry, settings=settings or Settings(token_wait=0), log=RequestLog(lines.append))
    with listening("127.0.0.1", 0) as bound, running(app, bound), httpx.Client(base_url=address_of(bound), timeout=30) as client:
        yield Server(address_of(bound), world, app, dict(tokens or make_tokens(world)), client, lines)


@contextmanager
def running(app: Litestar, bound: Any) -> Iterator[None]:
    """Run an app on a socket that listens, in a thread."""
    server = uvicorn.Server(config(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, name="served")
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
