"""Procedures that have ended release what they held, and the oldest of them are forgotten."""

import pytest

from oet_kernel.errors import ResourceNotFound

pytestmark = pytest.mark.anyio

FOREVER = "import time\ndef init(**kwargs): pass\ndef main(**kwargs): time.sleep(1000)\n"


async def test_only_the_newest_inactive_procedures_stay_listed(make_bench):
    bench = make_bench(history=2)
    active = await bench.ready(FOREVER)
    ended = []
    for _ in range(4):
        pid = await bench.create("x = 1")
        await bench.until(pid)
        ended.append(pid)
    assert [summary.id for summary in bench.service.summarise()] == [active, *ended[-2:]]
    with pytest.raises(ResourceNotFound, match=f"^No information available for PID={ended[0]}$"):
        bench.service.summarise([ended[0]])
    assert len(list((bench.state.path / "kernels").iterdir())) == 3, "folders of forgotten kernels are gone"
