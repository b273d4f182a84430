"""Conditions in SQL over the columns of a text shard, such as `LENGTH(response) > 20 AND finish_reason = 'stop'`.

They are polars' expressions: parsed and evaluated there, never by Python. A condition is about one record: what looks at several
(an aggregate, a window) is refused, as its answer would depend on how shards are cut.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from inbond.schemas.columns import TEXT_SCHEMA
from inbond.schemas.errors import InvalidInput

_COLUMNS = [name for name in TEXT_SCHEMA.names if name != "salt"]
_SEVERAL_ROWS = {"Agg", "Over", "Window", "Len", "Correlation", "Quantile", "Explode"}
_OPAQUE = {"Literal", "Column"}  # what is below them is text of the condition


class Condition:
    """A condition, parsed. Raises InvalidInput, saying why, for what is none."""

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._expression = pl.sql_expr(text)
            plan = json.loads(self._expression.meta.serialize(format="json"))
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise self._refused("a condition in SQL over the columns of a text shard", str(error)) from None
        self.columns: tuple[str, ...] = tuple(dict.fromkeys(self._expression.meta.root_names()))
        """The columns that it looks at."""
        if found := next(_nodes(plan), None):
            raise self._refused("a condition on one record at a time", f"one that looks at several ({found})")
        if unknown := [name for name in self.columns if name not in _COLUMNS]:
            raise self._refused(f"columns among {', '.join(_COLUMNS)}", ", ".join(unknown))
        if not self.columns:
            raise self._refused("a condition on at least one column", "one on none")

    @property
    def engine(self) -> str:
        """What evaluates it."""
        return f"polars {pl.__version__}"

    def holds(self, table: pa.Table) -> NDArray[np.bool_]:
        """For each row of a table with its columns whether it is true there; neither false nor not known will do."""
        frame = pl.DataFrame(pl.from_arrow(table.select(self.columns)))
        try:
            found = frame.select(self._expression).to_series()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise self._refused("a condition that fits the columns' types", str(error)) from None
        if found.dtype != pl.Boolean or len(found) != len(frame):
            raise self._refused("a condition, true or false for each record", f"one of {found.dtype}")
        return found.fill_null(value=False).to_numpy()

    def _refused(self, expected: str, found: str) -> InvalidInput:
        first = (found.strip() or "none").splitlines()[0]
        return InvalidInput(f"condition {self.text[:200]!r}: expected {expected}, found: {first[:300]}")


def _nodes(plan: Any) -> Iterator[str]:
    """The names of nodes of a plan that look at several rows."""
    if isinstance(plan, dict):
        for name, below in plan.items():
            if name in _SEVERAL_ROWS:
                yield name
            if name not in _OPAQUE:
                yield from _nodes(below)
    elif isinstance(plan, list):
        for item in plan:
            yield from _nodes(item)
    elif plan in _SEVERAL_ROWS:
        yield plan
