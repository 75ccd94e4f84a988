"""What is lost, doubled or out of order is counted: a scenario that saw nothing would prove nothing."""

from tests.faults.outcome import Outcome


def compared(expected, seen):
    outcome = Outcome("x", 1)
    outcome.compare("trial 1", expected, seen)
    return outcome.lost, outcome.doubled, outcome.disordered, outcome.sound


def test_same_numbers_in_order_are_sound():
    assert compared(range(5), [0, 1, 2, 3, 4]) == (0, 0, 0, True)


def test_each_fault_is_counted_and_told():
    assert compared(range(5), [0, 1, 3, 4]) == (1, 0, 0, False)
    assert compared(range(5), [0, 1, 1, 2, 3, 4]) == (0, 1, 0, False)
    assert compared(range(5), [0, 2, 1, 3, 4]) == (0, 0, 1, False)
    assert compared(range(5), []) == (5, 0, 0, False)


def test_number_that_nobody_sent_is_told():
    outcome = Outcome("x", 1)
    outcome.compare("trial 1", range(2), [0, 1, 7])
    assert outcome.problems == ["trial 1: 1 of 2 never sent, the first is 7"]


def test_problems_beyond_what_anybody_reads_are_counted():
    outcome = Outcome("x", 1)
    for number in range(30):
        outcome.wrong(f"{number}")
    assert len(outcome.problems) == 20
    assert outcome.notes == {"further problems": 10}
