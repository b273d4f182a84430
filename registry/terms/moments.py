"""Days and instants compared: a day begins at midnight UTC, and as an end it means its last millisecond."""


def start_of(time: str) -> str:
    """The first instant of a day, or the instant itself (a `Time` of statements)."""
    return time if len(time) > 10 else f"{time}T00:00:00.000Z"


def end_of(time: str) -> str:
    """The last instant of a day, or the instant itself."""
    return time if len(time) > 10 else f"{time}T23:59:59.999Z"


def is_before(one: str, other: str) -> bool:
    """Whether a time begins before another begins."""
    return start_of(one) < start_of(other)
