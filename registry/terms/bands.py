"""Bands of yearly revenue, as an operator states them, and what they settle of a licence's threshold.

A band is words with an amount in US dollars a year: `below USD 10M`, `USD 10M to 50M`, `above USD 50M` (K, M and B stand for
thousands, millions and billions). Whatever else a band says settles nothing.
"""

import re
from dataclasses import dataclass

_AMOUNT = r"([0-9]{1,12})([KMB]?)"
_FORMS = {
    "below": re.compile(rf"below USD {_AMOUNT}"),
    "between": re.compile(rf"USD {_AMOUNT} to {_AMOUNT}"),
    "above": re.compile(rf"above USD {_AMOUNT}"),
}
_TIMES = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9}


@dataclass(frozen=True, slots=True)
class Band:
    """Revenue of a year in US dollars: at least `least`, and less than `below` (None: no bound)."""

    least: int
    below: int | None

    def exceeds(self, usd: int, period: str) -> bool | None:
        """Whether revenue is above `usd` in a `period` (month or year), for certain; None where the band does not say.

        No month brings more than its year; and a year of more than twelve times an amount has a month of more than that.
        """
        if self.below is not None and self.below <= usd:
            return False
        return True if self.least > usd * (12 if period == "month" else 1) else None


def band_of(text: str) -> Band | None:
    """The band that words say, None where they are none of the forms."""
    for form, pattern in _FORMS.items():
        if found := pattern.fullmatch(text):
            amounts = [int(digits) * _TIMES[unit] for digits, unit in zip(found.groups()[::2], found.groups()[1::2], strict=True)]
            least = 0 if form == "below" else amounts[0]
            return Band(least, None if form == "above" else amounts[-1])
    return None
