"""Is each way to write a value read, and each wrong one told what to write?"""

from __future__ import annotations

from random import Random

import pytest

from sockproxy.faults import values
from sockproxy.faults.values import BadValue, Span


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("0", 0, 0),
        ("1000", 1000, 1000),
        ("1B", 1, 1),
        ("64KiB", 65536, 65536),
        ("1.5MiB", 1572864, 1572864),
        ("1..64KiB", 1, 65536),
    ],
)
def test_sizes(text: str, low: int, high: int) -> None:
    assert values.size(text) == Span(low, high, True)


@pytest.mark.parametrize("text", ["", "-1", "x", "1KB", "1e3", "2..1", "1..", "..", "9" * 20, "1 "])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(BadValue, match="bytes such as 1000, 64KiB, 1MiB"):
        values.size(text)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [("200ms", 0.2, 0.2), ("5s", 5, 5), ("2min", 120, 120), ("100ms..2s", 0.1, 2)],
)
def test_durations(text: str, low: float, high: float) -> None:
    span = values.duration(text)
    assert (span.low, span.high) == pytest.approx((low, high))
    assert isinstance(span.draw(Random(1)), float)


@pytest.mark.parametrize("text", ["", "5", "5h", "2s..1s", "99999min"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(BadValue, match="a time such as 200ms"):
        values.duration(text)


def test_a_range_is_drawn_and_a_number_takes_nothing_from_the_dice() -> None:
    dice, same = Random(7), Random(7)
    assert values.size("12").draw(dice) == 12
    drawn = [values.size("1..6").draw(dice) for _ in range(200)]
    assert drawn == [same.randint(1, 6) for _ in range(200)]
    assert set(drawn) == {1, 2, 3, 4, 5, 6}


def test_counts_and_chances() -> None:
    assert values.count("3") == 3
    assert values.chance("0.2") == 0.2
    assert values.chance("1") == 1
    for text in ("0", "-1", "1.5", "x", "", "٣"):
        with pytest.raises(BadValue, match="a number from 1 on"):
            values.count(text)
    for text in ("2", "-0.1", "half", "0.5s"):
        with pytest.raises(BadValue, match="from 0 to 1"):
            values.chance(text)


def test_words_and_names() -> None:
    assert values.words("up", "down")("up") == "up"
    with pytest.raises(BadValue, match="up or down"):
        values.words("up", "down")("left")
    assert values.one_of({503: ""})("503") == 503
    with pytest.raises(BadValue, match="one of 503, 504"):
        values.one_of({503: "", 504: ""})("0503")
    assert values.token("X-Forwarded-For") == "X-Forwarded-For"
    with pytest.raises(BadValue, match="such as Origin"):
        values.token("a:b")
    assert values.url("https://a.invalid/?b=c") == "https://a.invalid/?b=c"
    with pytest.raises(BadValue, match="URL"):
        values.url("\N{SNOWMAN}")


def test_paths_and_how_long_an_answer_is_held() -> None:
    assert values.path("/up") == "/up"
    assert values.path("*/api/*") == "*/api/*"
    with pytest.raises(BadValue, match="the end of a path"):
        values.path("up")
    assert values.until("next") == "next"
    assert values.until("1MiB") == Span(1 << 20, 1 << 20, True)
    for text in ("never", "0"):
        with pytest.raises(BadValue, match="end, first, next or a number"):
            values.until(text)
    with pytest.raises(BadValue, match="at least 1 byte"):
        values.some("0")
