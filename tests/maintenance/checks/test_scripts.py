"""What was begun of repositories and environments, and not finished, is removed."""

from tests.maintenance.examining import found


def test_checkout_that_was_begun_is_removed(folder):
    left = folder / "repositories" / "abc.new"
    left.mkdir(parents=True)
    assert [one.mended for one in found(folder, "leftovers", fix=True)] == [True]
    assert not left.exists()
    assert found(folder, "leftovers") == []
