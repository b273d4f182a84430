"""How facts are written in reports: days, months, counts, shares, languages, sizes in the boxes of the form."""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from inbond.schemas.declared import Declared, Reason

EU_MEMBERS = frozenset(
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split()  # noqa: SIM905
)
"""ISO 3166 codes of the Union's member states."""

EU_LANGUAGES = {
    "bg": "Bulgarian", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English", "es": "Spanish",
    "et": "Estonian", "fi": "Finnish", "fr": "French", "ga": "Irish", "hr": "Croatian", "hu": "Hungarian", "it": "Italian",
    "lt": "Lithuanian", "lv": "Latvian", "mt": "Maltese", "nl": "Dutch", "pl": "Polish", "pt": "Portuguese",
    "ro": "Romanian", "sk": "Slovak", "sl": "Slovenian", "sv": "Swedish",
}  # fmt: skip
"""The official languages of the Union, by BCP 47 tag."""

_LANGUAGES = EU_LANGUAGES | {
    "ar": "Arabic", "bn": "Bengali", "ca": "Catalan", "eu": "Basque", "fa": "Persian", "gl": "Galician", "he": "Hebrew",
    "hi": "Hindi", "id": "Indonesian", "is": "Icelandic", "ja": "Japanese", "ko": "Korean", "no": "Norwegian",
    "ru": "Russian", "sr": "Serbian", "sw": "Swahili", "ta": "Tamil", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian",
    "ur": "Urdu", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip

SIZE_BINS = {
    "Text": ("Less than 1 billion tokens", "1 billion to 10 trillion tokens", "More than 10 trillion tokens"),
    "Image": ("Less than 1 million images", "1 million to 1 billion images", "More than 1 billion images"),
    "Audio": ("Less than 10 000 hours", "10 000 to 1 million hours", "More than 1 million hours"),
    "Video": ("Less than 10 000 hours", "10 000 to 1 million hours", "More than 1 million hours"),
}
"""The boxes of the form for sizes, by modality."""

_BOUNDS = {"Text": (10**9, 10**13), "Image": (10**6, 10**9), "Audio": (10**4, 10**6), "Video": (10**4, 10**6)}

REASONS = {
    Reason.NOT_DECLARED: "nobody has declared it",
    Reason.NOT_RECORDED_BY_SOURCE: "the source did not record it",
    Reason.WITHHELD: "it is withheld",
    Reason.LOST: "it is lost",
    Reason.NOT_YET: "it is not known yet",
    Reason.OPEN_ENDED: "it has no end",
    Reason.NOT_APPLICABLE_TO_KIND: "it does not apply",
}

_OPEN = frozenset({Reason.NOT_DECLARED, Reason.NOT_YET})


def day(time: str) -> str:
    """A time of a statement as DD/MM/YYYY."""
    return f"{time[8:10]}/{time[5:7]}/{time[:4]}"


def month(time: str) -> str:
    """A time of a statement as MM/YYYY."""
    return f"{time[5:7]}/{time[:4]}"


def months(first: str, last: str, *, live: bool = False) -> str:
    """A period as MM/YYYY to MM/YYYY."""
    if live:
        return f"from {month(first)}, still going on"
    return month(first) if month(first) == month(last) else f"{month(first)} to {month(last)}"


def count(number: int, word: str, many: str | None = None) -> str:
    """`1 row`, `2,000 rows`."""
    return f"{number:,} {word if number == 1 else many or word + 's'}"


def share(part: int, whole: int) -> str:
    """A share in per cent with one decimal, never rounded to all or nothing."""
    if not whole:
        return "0 %"
    exact = Decimal(part * 100) / Decimal(whole)
    if 0 < exact < Decimal("0.1"):
        return "under 0.1 %"
    if Decimal("99.9") < exact < 100:
        return "over 99.9 %"
    return f"{exact.quantize(Decimal('0.1'), ROUND_HALF_EVEN).normalize():f} %"


def size_bin(modality: str, amount: int | Decimal) -> str:
    """The box of the form that an amount falls in: tokens of text, images, hours of audio and video."""
    least, most = _BOUNDS[modality]
    return SIZE_BINS[modality][0 if amount < least else 1 if amount <= most else 2]


def language(tag: str) -> str:
    """A language by name where it has one here, with its tag."""
    name = _LANGUAGES.get(tag.partition("-")[0])
    return f"{name} ({tag})" if name else tag


def languages(tags: Iterable[str]) -> tuple[list[str], list[str]]:
    """(official languages of the Union, others), each by name and in order."""
    wanted = sorted(set(tags), key=lambda tag: (language(tag), tag))
    union = [language(tag) for tag in wanted if tag.partition("-")[0] in EU_LANGUAGES]
    return union, [language(tag) for tag in wanted if tag.partition("-")[0] not in EU_LANGUAGES]


def is_missing(fact: Declared[Any]) -> bool:
    """Whether a fact is one that somebody may still supply; what is lost or withheld is final."""
    return fact.unknown in _OPEN


def why_not(fact: Declared[Any]) -> str:
    """Why a fact has no value."""
    reason = fact.unknown if isinstance(fact.unknown, Reason) else fact.na
    return REASONS[reason] if isinstance(reason, Reason) else ""


def short(ref: str) -> str:
    """A reference as people type it: its kind and the beginning of its id."""
    kind, _, id = ref.partition(":")
    return f"{kind}:{id[:12]}"


def listed(words: Iterable[str]) -> str:
    """`a, b and c`."""
    items = list(words)
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
