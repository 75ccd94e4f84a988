"""Events and summaries as a service makes them, without one."""

from typing import Any

import pytest

from oet_kernel import topics
from oet_kernel.events.event import Event
from oet_kernel.models import (
    FileSystemScript,
    ProcedureHistory,
    ProcedureInput,
    ProcedureState,
    ProcedureSummary,
    to_json,
)

SCRIPT = "def init(subarray_id):\n    pass\n\n\nasync def main(n):\n    print('✓')\n"


def summary_in(*states: str, stacktrace: str | None = None, **given: Any) -> ProcedureSummary:
    """Summarise a procedure that entered these states, a second each."""
    entered = [(ProcedureState[name], 1.6e9 + at) for at, name in enumerate(states)]
    whole = {
        "id": 3,
        "script": FileSystemScript(script_uri="file:///scripts/observe.py"),
        "script_args": {"init": ProcedureInput(kwargs={"subarray_id": 1}), "main": ProcedureInput([2])},
        "history": ProcedureHistory(entered, stacktrace),
        "state": entered[-1][0],
        "uri": "http://test/procedures/3",
    }
    return ProcedureSummary(**{**whole, **given})


class Script:
    """Says things as a procedure does."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def say(self, topic: str, **fields: Any) -> None:
        """Add an event."""
        seq = len(self.events) + 1
        data = to_json({"msg_src": "3", "topic": topic, **fields})
        self.events.append(Event(seq, topic, 3, data, 1.6e9 + seq))

    def enter(self, *states: str) -> None:
        """Enter states."""
        for state in states:
            self.say(topics.STATECHANGE, new_state=state)

    def write(self, text: str, name: str = "stdout", call: str | None = "main") -> None:
        """Print."""
        self.say(topics.OUTPUT_STREAM, call=call, name=name, text=text)

    def show(self, data: Any, call: str | None = "main", **fields: Any) -> None:
        """Display."""
        self.say(topics.OUTPUT_DISPLAY, call=call, data=data, metadata={}, **fields)

    def load(self, source: str | None = SCRIPT) -> None:
        """Be loaded, by a kernel that tells of itself."""
        self.say(topics.SCRIPT_LOADED, path="/scripts/observe.py", sha256="ab" * 32, commit="c" * 40, source=source)
        packages = {"ipykernel": "7.4.0", "helpers": None}
        self.say(topics.ENVIRONMENT_DESCRIBED, host="dish7", user="astro", python="3.11.7", packages=packages)


@pytest.fixture
def script() -> Script:
    """A procedure that has said nothing yet."""
    return Script()


def outputs_of(notebook: Any, cell: str) -> list[Any]:
    """List the outputs of a cell."""
    (found,) = [one for one in notebook.cells if one.id == cell]
    return list(found.outputs)
