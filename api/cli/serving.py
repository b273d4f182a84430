"""Serving a registry over HTTP."""

from ipaddress import ip_address

import click

from inbond.api.cli.commands import Session, command
from inbond.schemas.errors import InbondError


@command("serve", "inbond serve\ninbond serve --port 0")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="HOST", help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8420, show_default=True, metavar="PORT", help="0: any that is free."
)
@click.option(
    "--max-upload", type=click.IntRange(1), default=8, show_default=True, metavar="GIB", help="The largest object, in GiB."
)
@click.option("--public-entries", is_flag=True, help="Let everybody read every entry, whatever its statement's visibility.")
def serve(session: Session, host: str, port: int, max_upload: int, public_entries: bool) -> None:
    """Serve the registry over HTTP until it is told to stop.

    Who may ask what, tokens say (`inbond token add`); checkpoints, keys and receipts are for everybody. The witnesses in
    policy.txt are asked to cosign. The log goes to stderr, a line of JSON a request.
    """
    from inbond.api.serving import serve
    from inbond.api.settings import Settings

    def tell(address: str) -> None:
        session.output.answer({"address": address}, [f"listening on {address}"])

    with session.open() as registry:
        _ = registry.local  # a server's registry is not served once more
        if not _is_here(host):
            session.output.say(f"{host} is not this machine alone: put a proxy with TLS in front, as tokens travel in clear")
        try:
            registry.log.append([])  # takes what a write takes, and writes nothing
        except InbondError as error:
            session.output.say(f"this registry can be read only, nothing will be put on record: {error.message}")
        serve(registry, host, port, tell, settings=Settings(max_upload=max_upload << 30, public_entries=public_entries))


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


COMMANDS = (serve,)
