"""Colours of states: there for states alone, and readable with white."""

import pytest

from oet_kernel.formatting.colours import COLOURS, NEUTRAL
from oet_kernel.models import ActivityState, ProcedureState


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colour", sorted({*COLOURS.values(), NEUTRAL}))
def test_white_is_readable_on_each(colour):
    assert 1.05 / (luminance(colour) + 0.05) >= 4.5


def test_they_are_those_of_states():
    assert set(COLOURS) <= {*ProcedureState.__members__, *ActivityState.__members__}
