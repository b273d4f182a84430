"""Tokens of the HTTP API: add, list, revoke."""

from typing import TYPE_CHECKING

import click

from inbond.api.cli.commands import Session, command, noun
from inbond.api.cli.output import pairs, table

if TYPE_CHECKING:
    from inbond.api.tokens import Token

ROLES = ("producer", "trainer", "compliance", "auditor", "provider", "admin", "monitor")

token = noun("token", "The tokens that let people and jobs ask a server.", "inbond token list")


@command("add", "inbond token add --role trainer --days 90\ninbond token add --role provider --party openai", of=token)
@click.option(
    "--role", "roles", required=True, multiple=True, type=click.Choice(ROLES), metavar="ROLE",
    help=f"What it may ask as: {', '.join(ROLES)}. May be repeated.",
)  # fmt: skip
@click.option("--party", metavar="PARTY", help="Who asks with it (you, the operator, unless given).")
@click.option("--days", type=click.IntRange(1, 36500), metavar="N", help="When it ends (never unless given).")
@click.option("--name", metavar="TEXT", help="What it is for, in lists.")
def add(session: Session, roles: tuple[str, ...], party: str | None, days: int | None, name: str | None) -> None:
    """Make a token and show it, once.

    A token says who asks; it signs nothing. Whoever runs `inbond` against a server sets INBOND_TOKEN to it.
    """
    from inbond.api.tokens import TokenStore

    with session.open() as registry:
        who = registry.operator if party is None else registry.resolve(party, "party")
        called = registry.called([who])[who]
        text, made = TokenStore(registry.local.folder).add(who, roles, days=days, name=name)
    data = {
        "token": text,
        "id": made.id,
        "party": made.party,
        "roles": made.roles,
        "name": made.name,
        "created": made.created,
        "expires": made.expires,
    }
    facts = [("id", made.id), ("party", called), ("roles", made.roles), ("expires", made.expires or "never")]
    session.output.answer(data, [text, *pairs(facts)])
    session.output.say("this is the only time that it is shown")


@command("list", "inbond token list", of=token)
def list_tokens(session: Session) -> None:
    """List the tokens, without their secrets."""
    from inbond.api.tokens import TokenStore
    from inbond.registry.times import now

    with session.open() as registry:
        found = TokenStore(registry.local.folder).list()
        called = registry.called([each.party for each in found])
    at = now()
    rows = [(each.id, each.name, called[each.party], each.roles, each.created[:10], _state(each, at)) for each in found]
    heads = ("token", "name", "party", "roles", "created", "state")
    session.output.answer({"tokens": found}, table(heads, rows, empty="no tokens"))


@command("revoke", "inbond token revoke 4f2a90c1", of=token)
@click.argument("id")
def revoke(session: Session, id: str) -> None:
    """Revoke a token, for ever.

    ID is what `inbond token list` shows. A running server hears of it within seconds.
    """
    from inbond.api.tokens import TokenStore

    with session.open() as registry:
        gone = TokenStore(registry.local.folder).revoke(id)
    session.output.answer({"id": gone.id, "revoked": gone.revoked}, [f"token {gone.id} revoked at {gone.revoked}"])


def _state(token: "Token", at: str) -> str:
    if token.revoked:
        return f"revoked {token.revoked[:10]}"
    if token.expires is None:
        return "in force"
    return f"expired {token.expires[:10]}" if not token.in_force(at) else f"until {token.expires[:10]}"


COMMANDS = (token,)
