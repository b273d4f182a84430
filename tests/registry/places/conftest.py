"""Fixtures: the world of the registry's tests, served by a process of its own; clients that meet it through a proxy."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from inbond.registry.places.server import ServerPlace
from inbond.registry.registry import Registry
from tests.registry.places.proxy import Proxy, between
from tests.registry.places.served import Server, client_machine, serving_folder

ROLES = ("producer", "trainer", "compliance")


@dataclass
class Client:
    """A machine that has a URL, a token, keys and a policy."""

    registry: Registry
    place: ServerPlace
    proxy: Proxy
    machine: Path


@pytest.fixture(scope="module")
def server(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests of a module: they put on record what has names of their own."""
    folder = tmp_path_factory.mktemp("served") / "world"
    shutil.copytree(template, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        with serving_folder(folder / "registry", folder / "state") as server:
            yield server


@pytest.fixture(scope="module")
def token(server: Server) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(server.state))
        return server.token(*ROLES, "auditor")


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with between(server.url) as proxy:
        yield proxy


@pytest.fixture
def machine(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has never seen the registry."""
    for name in ("INBOND_TOKEN", "INBOND_TOKEN_FILE", "INBOND_POLICY", "INBOND_GENESIS", "INBOND_KEYS", "INBOND_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "machine" / "state"))
    return client_machine(tmp_path / "machine", server, *ROLES)


Connect = Callable[..., Client]


@pytest.fixture
def connect(proxy: Proxy, machine: Path, token: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Opens the registry through the proxy; `patience` is that of its requests."""
    with ExitStack() as stack:

        def connect(token: str | None = token, patience: float = 1.0, **options: str) -> Client:
            monkeypatch.setattr("inbond.registry.places.transport.PATIENCE", patience)
            given = {"keys": machine / "keys", "policy": (machine / "policy.txt").read_text()} | options
            registry = stack.enter_context(Registry.open(proxy.url, token=token, **given))  # type: ignore[arg-type]
            assert isinstance(registry.place, ServerPlace)
            return Client(registry, registry.place, proxy, machine)

        yield connect


@pytest.fixture
def client(connect: Connect) -> Client:
    return connect()
