"""Whatever is killed or cut off at a random moment, nothing is lost: the short form of ``python -m tests.faults``."""

import os
import random

import pytest

from tests.faults.scenarios import ALL

pytestmark = pytest.mark.timeout(600)  # ten seconds of work, on a machine that does nothing else


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_nothing_is_lost_doubled_or_left_half_done(scenario):
    seed = int(os.environ.get("OET_FAULTS_SEED") or random.randrange(1 << 32))
    print(f"to repeat it: OET_FAULTS_SEED={seed}")
    outcome = scenario.play(**scenario.short, seed=seed)
    assert outcome.sound, outcome
    assert outcome.events > 0
