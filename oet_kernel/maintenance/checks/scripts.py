"""Checks of what scripts are taken from and run in: copies of repositories, and environments."""

from collections.abc import Iterator
from functools import partial

from oet_kernel.maintenance.disk import remove, size_of
from oet_kernel.maintenance.findings import Checks, Observation, Site
from oet_kernel.scripts.environments import BUILT

SCRIPTS = Checks[[Site]]()


@SCRIPTS.add
def unfinished(site: Site) -> Iterator[Observation]:
    """Find unfinished copies of repositories, and unfinished environments."""
    if site.served:
        return
    left = [path for end in ("new", "old") for path in sorted(site.paths.repositories.glob(f"*.{end}"))]
    left += [path for path in sorted(site.paths.environments.glob("*/")) if not (path / BUILT).exists()]
    if left:
        yield Observation(
            "leftovers",
            f"{len(left)} unfinished repositories or environments ({size_of(left)})",
            "'oet doctor --fix' removes them",
            partial(remove, left),
        )
