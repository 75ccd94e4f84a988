"""Rows and events that tests of the store write."""

from oet_kernel import procedure as lifecycle
from oet_kernel.events.event import Event
from oet_kernel.models import FileSystemScript, ProcedureInput
from oet_kernel.store.rows import ProcedureRow


def row(pid, at=1000.0, ended=None, script="file:///scripts/a.py", **kwargs):
    procedure = lifecycle.create(pid, FileSystemScript(script_uri=script), ProcedureInput([], kwargs), at)
    if ended is not None:
        procedure = lifecycle.apply(procedure, lifecycle.Failed(ended, "because"))
    return ProcedureRow(procedure=procedure)


def events(numbers, procedure=None, topic="user.x", at=1000.0):
    return [Event(n, topic, procedure, b'{"n":%d}' % n, at) for n in numbers]
