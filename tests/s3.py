"""A real S3 server for tests (moto), started once a process; each test gets a bucket of its own, and a proxy that can fail."""

import atexit
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest

from inbond.registry.stores.bucket import split_url

_SERVE = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.disable()
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@cache
def server() -> str:
    """The server's address; its process waits for the end of a pipe, which comes with the end of this process."""
    pytest.importorskip("moto", reason="no S3 server: pip install 'moto[server]'")
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | ENVIRONMENT,
    )
    assert process.stdout is not None
    port = process.stdout.readline().strip()

    def end() -> None:
        process.communicate("")

    atexit.register(end)
    return f"http://127.0.0.1:{port}"


def new_bucket() -> str:
    """The URL of a prefix in an empty bucket."""
    name = f"b{secrets.token_hex(8)}"
    assert httpx.put(f"{server()}/{name}").status_code == 200
    return f"s3://{name}/some/prefix"


def use(patch: pytest.MonkeyPatch, endpoint: str | None = None) -> None:
    """Let this process ask the server, or a proxy before it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    for name, value in (ENVIRONMENT | {"AWS_ENDPOINT_URL": endpoint or server()}).items():
        patch.setenv(name, value)


Answer = tuple[int, bytes] | int | None
"""What a proxy does instead of asking the server: a status with a body, or how many bytes of the answer's body it sends."""


@contextmanager
def proxy(answer: Callable[[str, str], Answer]) -> Iterator[tuple[str, list[tuple[str, str, int, int]]]]:
    """A proxy before the server: its address, and (method, path, status, bytes of the body) of what it has answered.

    `answer` is given method and path.
    """
    seen: list[tuple[str, str, int, int]] = []
    host, port = server().removeprefix("http://").split(":")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            instead = answer(self.command, self.path)
            if isinstance(instead, tuple):
                status, data, headers, cut = *instead, [("Content-Type", "application/xml")], None
            else:
                there = HTTPConnection(host, int(port))
                there.request(self.command, self.path, body, dict(self.headers))
                try:
                    answered = there.getresponse()
                except (HTTPException, OSError):  # as moto does where an upload is broken off while a part arrives
                    self.close_connection = True
                    return
                with answered as found:
                    status, data, headers, cut = found.status, found.read(), found.getheaders(), instead
                there.close()
            seen.append((self.command, self.path, status, 0 if self.command == "HEAD" else len(data)))
            self.send_response_only(status)
            known = {name.lower(): value for name, value in headers}
            known.pop("transfer-encoding", None)
            known["content-length"] = known.get("content-length", "0") if self.command == "HEAD" else str(len(data))
            for name, value in known.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data[:cut])
            if cut is not None:
                self.close_connection = True

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_one  # noqa: N815

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        thread = Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_address[1]}", seen
        finally:
            running.shutdown()
            thread.join()


__all__ = ["new_bucket", "proxy", "server", "split_url", "use"]
