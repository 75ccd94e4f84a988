"""``oet attach``: attach to the kernel of a procedure."""

import click
import msgspec

from oet_kernel.cli.grammar import with_id
from oet_kernel.cli.options import PROCEDURE_ID, ServiceOptions, with_service
from oet_kernel.cli.results import Answer, Attaching
from oet_kernel.formatting.documents import Document
from oet_kernel.models import KernelInfo, ProcedureState


@click.command()
@with_id(PROCEDURE_ID, None)
@click.option("--control", is_flag=True, help="Take control, so that code can be typed; an event reports it.")
@click.option("--release", is_flag=True, help="Release control, whoever holds it, without attaching.")
@with_service
def attach(pid: int, control: bool, release: bool, service: ServiceOptions, as_json: bool) -> Attaching | Answer:
    """Look into the kernel of procedure PID: a console on it, or how to open one.

    Output, completion and inspection are always available. Code is refused without --control; code typed with control
    is published as an event. Leaving the console releases control.
    """
    if control and release:
        raise click.UsageError("--control and --release contradict each other; give one of them")
    with service.client() as client:
        before = client.kernel(pid)
        info = client.control(pid, control) if control or release else before
    answer = Answer(info, describe_kernel(info), as_json)
    if release:
        had = f"{before.control} had it" if before.control else "nobody had it"
        return Answer(info, Document([f"Control of procedure {pid} is free ({had})."]), as_json)

    def give_back() -> None:
        with service.client() as client:
            client.control(pid, False)

    return Attaching(info=info, answer=answer, leave=give_back if control else None)


def describe_kernel(info: KernelInfo) -> Document:
    """Return the description of a kernel's connection, and of the rights there.

    Parameters
    ----------
    info
        Connection and control of the kernel, from the service.
    """
    pid = info.procedure
    head = f"Procedure {pid} is {info.state.name}; {rights(info)}"
    connection = msgspec.json.format(msgspec.json.encode(info.connection), indent=2).decode()
    return Document(
        [
            head,
            connection,
            f"To open a console on {info.host}: oet attach {pid}. For another Jupyter client, save the JSON above as a "
            f"file that nobody else may read, and name it: jupyter console --existing FILE.",
        ]
    )


def rights(info: KernelInfo) -> str:
    """Return a sentence on the present rights of attached clients."""
    pid = info.procedure
    if info.control is None:
        said = f"its kernel is read-only. To type code: oet attach {pid} --control"
    else:
        said = f"{info.control} has control. To give it back: oet attach {pid} --release"
    if info.state is ProcedureState.FAILED:
        said += "\nThe script has failed: with control, %debug opens the debugger at the failed line"
    return said
