"""Points in time and durations as text, and back."""

import pytest

from oet_kernel.formatting.times import clock, duration, moment, read_when

NOW = 1_795_478_400.0  # 2026-11-24T00:00:00Z


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2026-11-24", NOW),
        ("2026-11-24T06:30", NOW + 6.5 * 3600),
        ("2026-11-24T06:30:00.5Z", NOW + 6.5 * 3600 + 0.5),
        ("2026-11-24T06:30+02:00", NOW + 4.5 * 3600),
        ("90s", NOW - 90),
        ("30m", NOW - 1800),
        ("2h", NOW - 7200),
        ("3d", NOW - 3 * 86400),
        ("1w", NOW - 7 * 86400),
    ],
)
def test_point_in_time_is_iso_8601_or_so_long_ago(text, when):
    assert read_when(text, NOW) == when


@pytest.mark.parametrize("text", ["", "yesterday", "2 h", "-2h", "2h30m", "2026-13-01", "1e3", "nan", "٣d "])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match=r".*"):
        read_when(text, NOW)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0.0 s"),
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (61.4, "1 min 01 s"),
        (3599.6, "1 h 00 min"),
        (90061, "25 h 01 min"),
    ],
)
def test_duration_is_said_in_two_units(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("digits", "said"), [(0, "2026-11-24 00:00:00"), (3, "2026-11-24 00:00:00.250"), (6, "2026-11-24 00:00:00.250001")]
)
def test_moment_has_as_many_digits_as_are_asked_for(digits, said):
    assert moment(NOW + 0.250001, digits) == said


def test_clock_is_the_time_of_day():
    assert clock(NOW + 3661.9) == "01:01:01"


@pytest.mark.parametrize("at", [float("inf"), -1e300, 1e300])
def test_time_that_no_calendar_has_is_a_number(at):
    assert moment(at, 3) == f"{at:g}"
