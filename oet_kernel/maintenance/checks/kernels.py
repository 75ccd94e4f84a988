"""Checks of the active procedures in the store against the kernels and processes on this machine."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from oet_kernel.kernel_manager.record import find_record
from oet_kernel.maintenance.disk import remove, size_of
from oet_kernel.maintenance.findings import Checks, Observation, Site, problem
from oet_kernel.models import ProcedureState
from oet_kernel.store.base import Store
from oet_kernel.store.rows import KernelRow, ProcedureRow
from oet_kernel.system.process_identity import start_of
from oet_kernel.system.process_tree import kill_tree
from oet_kernel.system.processes import kill_leftovers, marked

KERNELS = Checks[[Site, Store]]()
_WITHOUT_KERNEL = frozenset({ProcedureState.CREATING, ProcedureState.PREP_ENV})
"""States in which a procedure may have no kernel yet."""


@KERNELS.add
def procedures(site: Site, store: Store) -> Iterator[Observation]:
    """Report for each active procedure whether its kernel is running."""
    active = store.active()
    kernels = store.kernels([row.id for row in active])
    for row in active:
        yield _procedure(site, row, kernels.get(row.id))
    if not active:
        yield Observation("procedures", "No procedure is active")


@KERNELS.add
def kernels_of_nobody(site: Site, store: Store) -> Iterator[Observation]:
    """Find kernels that run without an active procedure."""
    for folder in _unclaimed(site, store):
        pid = _running_in(folder)
        if pid is not None:
            yield problem(
                "kernels",
                f"The kernel process {pid} ({folder.name}) belongs to no active procedure",
                "start a service, or 'oet doctor --fix': either ends it",
                partial(_end_kernel, folder, pid),
            )


@KERNELS.add
def left_behind(site: Site, store: Store) -> Iterator[Observation]:
    """Find processes of kernels whose folders are gone."""
    if site.served:
        return
    for name, pids in marked(f"{site.paths.kernels}/").items():
        if not Path(name).exists():
            yield problem(
                "kernels",
                f"Processes {', '.join(map(str, pids))} were left behind by a kernel that has ended",
                "start a service, or 'oet doctor --fix': either ends them",
                partial(_kill, pids),
            )


@KERNELS.add
def folders_of_ended_kernels(site: Site, store: Store) -> Iterator[Observation]:
    """Find folders of kernels that have ended."""
    ended = [folder for folder in _unclaimed(site, store) if _running_in(folder) is None]
    if ended:
        yield Observation(
            "leftovers",
            f"{len(ended)} folders of kernels that have ended ({size_of(ended)})",
            "no action needed: the next service removes them, as does 'oet doctor --fix'",
            partial(remove, ended),
        )


def _procedure(site: Site, row: ProcedureRow, kernel: KernelRow | None) -> Observation:
    """Report whether the kernel of an active procedure is running."""
    name = f"Procedure {row.id} is {row.procedure.state.name}"
    record = None if kernel is None else find_record(Path(kernel.address))
    if record is not None and start_of(record.pid) == record.started:
        text = f"{name}, in the kernel process {record.pid}"
        if site.served:
            return Observation("procedures", text)
        return Observation("procedures", f"{text}, without a service", "start a service, which restores the procedure")
    if row.procedure.state in _WITHOUT_KERNEL:
        return Observation("procedures", f"{name}, and has no kernel yet")
    if record is not None and not site.served:
        text = f"{name}, and its kernel has ended"
        return Observation("procedures", text, "start a service, which records its end")
    remedy = "stop it" if site.served else "start a service, which records the procedure as FAILED"
    return problem("procedures", f"{name}, and its kernel was not found", remedy)


def _unclaimed(site: Site, store: Store) -> list[Path]:
    """Return the folders of kernels that no active procedure has; none while a service may have warm kernels there."""
    if site.served:
        return []
    kernels = store.kernels([row.id for row in store.active()])
    claimed = {Path(kernel.address) for kernel in kernels.values()}
    return [folder for folder in sorted(site.paths.kernels.glob("*/")) if folder not in claimed]


def _running_in(folder: Path) -> int | None:
    """Return the process id of the kernel that runs in a folder; None if none does."""
    record = find_record(folder)
    return None if record is None or start_of(record.pid) != record.started else record.pid


def _end_kernel(folder: Path, pid: int) -> None:
    kill_tree(pid)
    kill_leftovers(pid, str(folder))
    shutil.rmtree(folder)


def _kill(pids: list[int]) -> None:
    for pid in pids:
        kill_tree(pid)
