"""Field 1.3.b: a box wherever what is on record leaves only one, the command that fills it where it leaves more."""

from decimal import Decimal
from typing import Any

import pytest

from inbond.registry.disclosure.wording import SIZE_BINS, size_bin
from inbond.registry.operator import add_source
from inbond.schemas.declared import known, unknown
from inbond.schemas.statements import Tokens
from tests.registry.disclosure import scene
from tests.registry.disclosure.reading import figures, gaps, report, says
from tests.registry.world import World

SMALL = "[Less than 1 billion tokens]"


def prepare(world: World, **changes: Any) -> World:
    """A dataset that the student may read, of ten rows with 200 tokens unless `changes` say otherwise."""
    scene.judged(world, **changes)
    world.permit(world.ref("lab/pupil", "student"), world.ref("acme-terms"))
    world.registry.add_terms(b"Do.\n", party="beta", title="beta-terms", effective="2025-01-01")
    world.permit(world.ref("lab/pupil", "student"), world.ref("beta-terms"))
    return world


@pytest.fixture
def judged(world: World) -> World:
    return prepare(world)


def take(world: World, dataset: str, rows: int | None = None) -> None:
    for at, _ in enumerate(world.registry.pull(dataset, student="lab/pupil", run=dataset, segment=3), 1):
        if at == rows:
            break


def test_tokens_of_a_shard_that_was_given_in_part_fill_the_box(judged: World) -> None:
    take(judged, "judged", 4)
    found = report(judged)
    assert says(found, "1.3.b")[:2] == [SMALL, "At most 200 tokens, in several tokenizers or of shards that were not given whole"]
    assert figures(found, "1.3.b") == {"rows of text given": 6, "tokens of text at most": 200}


def test_what_may_be_in_two_boxes_is_in_none(world: World) -> None:
    large = known(Tokens(tokenizer=unknown(), prompt=known(10**9), response=known(5)))
    take(prepare(world, tokens=large), "judged", 4)
    assert not [words for words in says(report(world), "1.3.b") if words.startswith(("[", "At most"))]
    take(world, "judged")
    assert says(report(world), "1.3.b") == ["[1 billion to 10 trillion tokens]", "1,000,000,005 tokens in 10 rows"]


def test_tokens_that_are_stated_of_no_shard_leave_the_box_empty(told: World) -> None:
    assert says(report(told), "1.3.b")[0].startswith("In another unit of measurement: 56 rows")


def test_tokens_of_a_source_beside_the_shards_count(judged: World) -> None:
    add_source(judged.registry, "corpus", "public", {"sizes": [{"modality": "text", "amount": 7000, "unit": "Tokens"}]})
    add_source(judged.registry, "books", "public", {})
    take(judged, "judged")
    judged.registry.close_run("judged", "kept", complete=True, inputs={"corpus": 70})
    assert says(report(judged), "1.3.b")[:2] == [
        SMALL,
        "At most 7,200 tokens, in several tokenizers or of shards that were not given whole",
    ]
    judged.registry.close_run("judged", complete=True, inputs={"corpus": 70, "books": 2})
    assert SMALL not in says(report(judged), "1.3.b")


def test_sizes_that_sources_state_fill_the_boxes_of_other_modalities(told: World) -> None:
    images = {"content": {**scene.CONTENT, "modalities": ["text", "image"]}}
    add_source(told.registry, "photos", "licensed", images)
    told.registry.close_run("likes", complete=True, inputs={"photos": 9000})
    found = report(told)
    assert says(found, "1.3.a") == ["[Text]", "[Image]"]
    [gap] = gaps(found, "1.3.b")
    assert (gap.about, gap.text) == ("photos", "the size of its image data, in images")
    assert gap.supply == f"inbond declare {told.ref('photos', 'source')[:19]} --facts FILE"
    told.registry.declare("source:photos", {"sizes": [{"modality": "image", "amount": 2_000_000, "unit": "images"}]})
    found = report(told)
    assert gaps(found, "1.3.b") == []
    assert says(found, "1.3.b")[1:3] == ["[1 million to 1 billion images]", "2,000,000 images, as stated of photos"]


def test_a_modality_of_shards_is_asked_of_the_sources_of_their_prompts(told: World) -> None:
    for shard, *_ in told.parts("code"):
        told.registry.declare(shard, {"content": {**scene.CONTENT, "modalities": ["text", "audio"]}}, correct=True)
    [gap] = gaps(report(told), "1.3.b")
    assert gap.supply == "inbond source add NAME --facts FILE"
    told.registry.declare("source:annotators", {"sizes": [{"modality": "audio", "amount": "12.5", "unit": "hours"}]})
    found = report(told)
    assert says(found, "1.3.b")[1:3] == ["[Less than 10 000 hours]", "12.5 hours, as stated of annotators"]


@pytest.mark.parametrize(
    ("modality", "least", "most"),
    [("Text", 10**9, 10**13), ("Image", 10**6, 10**9), ("Audio", 10**4, 10**6), ("Video", 10**4, 10**6)],
)
def test_the_boxes_meet_where_the_form_says(modality: str, least: int, most: int) -> None:
    small, middle, large = SIZE_BINS[modality]
    assert [size_bin(modality, amount) for amount in (0, least - 1)] == [small, small]
    assert [size_bin(modality, amount) for amount in (least, Decimal(most))] == [middle, middle]
    assert size_bin(modality, most + Decimal("0.1")) == large
