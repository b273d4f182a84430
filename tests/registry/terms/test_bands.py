"""Bands of revenue: what words say, and what they settle of a threshold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbond.registry.terms.bands import Band, band_of

FORMS = [
    ("below USD 10M", Band(0, 10_000_000)), ("below USD 500K", Band(0, 500_000)), ("USD 10M to 50M", Band(10**7, 5 * 10**7)),
    ("above USD 2B", Band(2 * 10**9, None)), ("below USD 900", Band(0, 900)),
]  # fmt: skip
NO_FORMS = ["below EUR 10M", "below 10M", "USD 10M", "under USD 10M", "below USD 10.5M", "USD 1M to", "above USD 1M or so", ""]


@pytest.mark.parametrize(("words", "band"), FORMS)
def test_words_that_are_a_band(words: str, band: Band) -> None:
    assert band_of(words) == band


@pytest.mark.parametrize("words", NO_FORMS)
def test_words_that_settle_nothing(words: str) -> None:
    assert band_of(words) is None


@given(st.lists(st.integers(0, 100), min_size=12, max_size=12), st.integers(0, 120), st.integers(0, 1300), st.integers(1, 1300))
def test_what_a_band_settles_holds_of_every_year_in_it(months: list[int], usd: int, least: int, width: int) -> None:
    year = sum(months)
    band = Band(min(least, year), max(year + 1, least + width))
    for period, above in (("month", max(months) > usd), ("year", year > usd)):
        assert band.exceeds(usd, period) in (None, above)
    assert Band(0, year + 1).exceeds(year + 1, "month") is False
    assert Band(year + 1, None).exceeds(year, "year") is True
