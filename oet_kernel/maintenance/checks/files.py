"""Checks of the state folder itself: what lies in it, who can reach it, and the disk."""

import os
import shutil
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from oet_kernel.maintenance.disk import megabytes, remove, size_of
from oet_kernel.maintenance.findings import RECOVER, Checks, Observation, Site, problem
from oet_kernel.state.folder import find_odd, move_odd
from oet_kernel.state.layout import DATABASE

FILES = Checks[[Site]]()
_ENOUGH_BYTES = 100 << 20
"""Free space on the disk in bytes below which a problem is reported."""


@FILES.add
def set_aside(site: Site) -> Iterator[Observation]:
    """Find data that services have set aside; the first check, since the next ones set aside more."""
    folder = site.paths.set_aside
    kept = sorted(folder.iterdir()) if folder.is_dir() else []
    if kept:
        yield Observation(
            "set aside",
            f"{len(kept)} items that a service could not process ({size_of(kept)}), the newest "
            f"{max(kept, key=lambda one: one.lstat().st_mtime).name}",
            f"look at {folder}; 'oet doctor --fix' removes them, while no service is using the folder",
            partial(remove, kept),
        )


@FILES.add
def odd_entries(site: Site) -> Iterator[Observation]:
    """Find entries of the wrong type in the place of the service's files and folders."""
    for path in find_odd(site.folder):
        yield problem(
            "folder",
            f"{path} is not of the expected type (a pipe, a broken link, or a file in place of a folder)",
            "start a service, or 'oet doctor --fix': either moves it to 'set-aside'",
            partial(move_odd, path.parent, [path.name]),
        )


@FILES.add
def permissions(site: Site) -> Iterator[Observation]:
    """Check that other users cannot read scripts' output, or the keys of their kernels."""
    open_to_others = [path for path in _private(site) if _mode(path) & 0o077]
    if not open_to_others:
        yield Observation("folder", f"{site.folder} is private")
    for path in open_to_others:
        right = 0o700 if path.is_dir() else 0o600
        yield problem(
            "folder",
            f"{path} is accessible to other users (mode {_mode(path):04o})",
            f"chmod {right:04o} {path}",
            partial(path.chmod, right),
        )
    if site.folder.stat().st_uid != os.getuid():
        yield problem("folder", f"{site.folder} belongs to another user", "run the service as its owner")


@FILES.add
def space(site: Site) -> Iterator[Observation]:
    """Check that the disk can be written, and has space."""
    free = shutil.disk_usage(site.folder).free
    text = f"{megabytes(free)} are free on the disk of {site.folder}"
    if free < _ENOUGH_BYTES:
        yield problem("disk", text, f"free disk space: a service that cannot write starts nothing new; {RECOVER}")
    elif not os.access(site.folder, os.W_OK):
        yield problem("disk", f"{site.folder} cannot be written", f"make it writable; {RECOVER}")
    else:
        yield Observation("disk", text)


def _private(site: Site) -> list[Path]:
    kernels = site.paths.kernels
    found = [site.folder, *site.folder.glob(f"{DATABASE}*"), *kernels.glob("*/")]
    found += [path for name in ("kernel.json", "iopub.jsonl") for path in kernels.glob(f"*/{name}")]
    return [*found, kernels] if kernels.is_dir() else found


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0  # removed meanwhile
