"""Kernels of procedures, for attaching to them."""

from typing import Annotated

from msgspec import Struct

from oet_kernel.models.description import about
from oet_kernel.models.procedures import ProcedureId, ProcedureState


class Connection(Struct, frozen=True, kw_only=True):
    """Connection of a Jupyter client to a kernel: content of a connection file."""

    transport: Annotated[str, about("`ipc`: Unix sockets on the service's machine, for the service's own user.")]
    ip: Annotated[str, about("Beginning of the sockets' paths, or an IP address.")]
    shell_port: Annotated[int, about("Number of the socket for requests.")]
    iopub_port: Annotated[int, about("Number of the socket for output.")]
    stdin_port: Annotated[int, about("Number of the socket for prompts.")]
    control_port: Annotated[int, about("Number of the socket for requests that do not wait for others.")]
    hb_port: Annotated[int, about("Number of the socket for heartbeats.")]
    key: Annotated[str, about("Key that signs messages of a guest; it grants no right beyond those of control.")]
    signature_scheme: Annotated[str, about("Scheme of signatures.", examples=["hmac-sha256"])]
    kernel_name: Annotated[str, about("Name of the kernel's kernelspec.")]


class KernelInfo(Struct, frozen=True, kw_only=True):
    """Kernel of a procedure, for attaching to it."""

    procedure: ProcedureId
    state: Annotated[ProcedureState, about("State of the procedure.")]
    id: Annotated[str, about("Id of the kernel, unique on its machine.")]
    host: Annotated[str, about("Name of the kernel's machine.")]
    pid: Annotated[int | None, about("Process id of the kernel; null where its machine does not report it.")]
    control: Annotated[str | None, about("Name of the user who has control; null while all may only look.")]
    kept_until: Annotated[
        float | None,
        about(
            "Time until which the kernel of a failed procedure is kept, in Unix seconds; null for an active procedure."
        ),
    ]
    connection: Annotated[Connection, about("Content of a Jupyter connection file.")]
