"""What statements mention: found in JSON, compared with a walk over values."""

import re
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from inbond.registry.mentions import digests, references

REF = "party:" + "0a" * 16
DIGEST = "sha256:" + "0b" * 32


def walked(value: Any) -> set[str]:
    """Every string in `value` that is no key."""
    if isinstance(value, str):
        return {value}
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*map(walked, inner))


texts = st.one_of(
    st.sampled_from([REF, DIGEST]),
    st.lists(st.sampled_from([REF, DIGEST, '"', "\\", ",", ":", "[", "]", "}", "é", "x"]), max_size=6).map("".join),
)
values = st.recursive(texts | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(texts, inner))


@given(values)
@example(REF)
@example([REF, DIGEST])
@example({REF: DIGEST, DIGEST: REF})
@example(f'",{REF}')
@example([f'{REF}"', f'"{REF}', f',"{REF}",', f':"{REF}"]', f"{REF}\n", f"{REF}0", "\\", REF[:-1]])
def test_what_is_mentioned_is_every_value_that_is_a_reference_or_a_digest_and_nothing_else(value: Any) -> None:
    assert references(value) == {text for text in walked(value) if re.fullmatch("[a-z][a-z_]{0,31}:[0-9a-f]{32}", text)}
    assert digests(value) == {text for text in walked(value) if re.fullmatch("sha256:[0-9a-f]{64}", text)}
