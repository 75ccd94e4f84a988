"""The assembly holds all that a service needs, or nothing."""

import pytest

from oet_kernel.errors import StoreUnusable
from oet_kernel.server import assembly
from oet_kernel.store.sqlite import SqliteStore
from tests.conftest import Bench, settings

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("owner", "name"), [(SqliteStore, "last_seq"), (assembly, "Journal"), (assembly, "kernel_pool")]
)
async def test_core_that_cannot_be_created_leaves_the_state_folder_to_the_next_attempt(
    tmp_path, monkeypatch, owner, name
):
    def fail(*arguments, **options):
        raise StoreUnusable("the disk is away")

    with monkeypatch.context() as broken:
        broken.setattr(owner, name, fail)
        with pytest.raises(StoreUnusable) as failure:  # whose traceback keeps what was created
            assembly.Core(settings(tmp_path / "state"))
    bench = Bench(tmp_path)
    assert bench.service.summarise() == []
    await bench.close()
    del failure
