"""Keeping to one model where the rows of a file say which one wrote them: a shard has one teacher."""

from inbond.registry.importers.base import Option, StopImport
from inbond.schemas.errors import InvalidInput

MODEL = Option("model", "take only the rows of this model")


class OneModel:
    """Takes the rows of the model that is `selected`, or of the only one where None is."""

    def __init__(self, selected: str | None) -> None:
        self._selected = selected
        self._only = selected
        self._others: dict[str, int] = {}
        self._taken = 0

    def takes(self, model: str | None, field: str) -> bool:
        """Whether a row of `model` is taken. Raises StopImport at a second model where none is selected."""
        if model is None and self._selected is None:
            return True
        if self._only is None:
            self._only = model
        if model == self._only:
            self._taken += 1
            return True
        if self._selected is None:
            raise StopImport(
                field,
                f"{self._only!r} as in the records before",
                repr(model),
                "Import one model at a time: select it with the option model=NAME.",
            )
        self._others[str(model)] = self._others.get(str(model), 0) + 1
        return False

    def finish(self) -> None:
        """Raises InvalidInput where the selected model wrote none of the rows."""
        if self._selected is not None and not self._taken and self._others:
            others = ", ".join(f"{name!r} ({count})" for name, count in sorted(self._others.items())[:20])
            raise InvalidInput(f"option model: expected records of {self._selected!r}, found only records of {others}")
