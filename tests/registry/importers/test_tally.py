import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.registry.importers import Rejected, Tally
from inbond.registry.importers.tally import Duplicates
from inbond.registry.shards.records import Record
from inbond.schemas.errors import InvalidInput

Import = Callable[..., list[Record | Rejected]]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=300), st.integers(1, 50))
def test_duplicates_are_counted_exactly(keys: list[int], batch: int) -> None:
    duplicates = Duplicates(batch)
    for key in keys:
        duplicates.add(str(key))
    assert duplicates.count() == len(keys) - len(set(keys)) == duplicates.count()


def test_counting_many_keys_takes_little_room() -> None:
    duplicates = Duplicates()
    keys = random.Random(1)
    seen = set()
    for _ in range(200_000):
        key = keys.randrange(150_000)
        seen.add(key)
        duplicates.add(key)
    assert duplicates.count() == 200_000 - len(seen)


def test_duplicate_ids_and_empty_responses_are_kept_and_counted(run_import: Import) -> None:
    def line(id: object, content: str) -> dict[str, object]:
        return {"id": id, "messages": [{"role": "assistant", "content": content}]}

    tally = Tally()
    found = run_import("messages", [line(1, "a"), line(1, ""), line("1", "a"), line(None, "a"), line(None, "a")])
    records = list(tally.over(found))
    assert len(records) == tally.records == 5
    assert (tally.duplicate_ids, tally.empty_responses) == (1, 1)


def test_samples_of_one_request_are_no_duplicates(run_import: Import) -> None:
    choices = [{"index": index, "message": {"content": "x"}} for index in range(2)]
    tally = Tally()
    list(tally.over(run_import("chat-completions", [{"id": "i", "choices": choices}])))
    assert tally.duplicate_ids == 0
    list(tally.over(run_import("chat-completions", [{"id": "i", "choices": choices}])))
    assert tally.duplicate_ids == 2


def test_a_reject_ends_the_import_or_is_handed_on(run_import: Import) -> None:
    found = run_import("messages", [{"messages": []}, {"messages": [{"role": "assistant", "content": "x"}]}, 7])
    with pytest.raises(InvalidInput, match="line 1, record 1, field messages: expected at least one turn"):
        list(Tally().over(found))
    tally, rejects = Tally(), list[Rejected]()
    assert len(list(tally.over(found, rejects.append))) == 1
    assert tally.rejected == {"wrong-value": 1, "wrong-type": 1}
    assert [reject.line for reject in rejects] == [1, 3]
