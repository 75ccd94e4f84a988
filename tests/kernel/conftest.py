"""A reader of a kernel's journal."""

import pytest

from oet_kernel.kernel_manager.journal_reader import JournalReader


@pytest.fixture
def tail(tmp_path):
    made = JournalReader(tmp_path)
    yield made
    made.close()
