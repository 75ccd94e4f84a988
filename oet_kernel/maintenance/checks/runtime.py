"""Checks of the runtime folder, where the fork servers have their sockets."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil

from oet_kernel.maintenance.disk import note_in
from oet_kernel.maintenance.findings import Checks, Observation, Site, problem
from oet_kernel.protocol import COLLECTOR_NAME
from oet_kernel.system.process_tree import kill_tree
from oet_kernel.system.processes import fork_servers as running_in

RUNTIME = Checks[[Site]]()


@RUNTIME.add
def fork_servers(site: Site) -> Iterator[Observation]:
    """Find fork servers without a service."""
    folder = note_in(site.paths.runtime)
    if site.served or not Path(folder).is_dir():
        return
    for pid in running_in(folder):
        children = _kernels_of(pid)
        if children:
            text = f"The fork server {pid} waits until {len(children)} kernels have ended"
            yield Observation("fork servers", text, "start a service, which takes the fork server over")
        else:
            yield problem(
                "fork servers",
                f"The fork server {pid} has no service and no kernel",
                "start a service, which takes it over, or 'oet doctor --fix', which ends it",
                partial(kill_tree, pid),
            )


def _kernels_of(server: int) -> list[int]:
    """Return the children of a fork server, without the collector of their output."""
    with suppress(psutil.NoSuchProcess):
        return [one.pid for one in psutil.Process(server).children() if one.name() != COLLECTOR_NAME]
    return []
