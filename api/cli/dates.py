"""Dates on the command line."""

import re
from datetime import datetime

import click

_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z)?")


def expect_date(context: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """The callback of an option that takes a day that exists, or an instant as statements write it; gives the text as it is."""
    try:
        if value is None:
            return None
        if _FORM.fullmatch(value):
            datetime.fromisoformat(value)
            return value
    except ValueError:
        pass  # a day or a time of day that does not exist
    raise click.BadParameter(f"expected YYYY-MM-DD, found {value!r}", context, param)
