"""A state folder for the doctor."""

import pytest

from oet_kernel.state.folder import StateFolder
from oet_kernel.state.layout import DATABASE
from oet_kernel.store.sqlite import SqliteStore


@pytest.fixture
def folder(tmp_path):
    """A state folder that a service has left, all well."""
    state = StateFolder(tmp_path / "state")
    SqliteStore(state.path / DATABASE).close()
    state.close()
    return state.path
