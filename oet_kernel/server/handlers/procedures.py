"""``/procedures``: create, list, start, stop."""

from typing import Any

from jupyter_server.auth.decorator import authorized
from msgspec.structs import replace
from tornado import web

from oet_kernel.models import (
    PrepareProcessCommand,
    ProcedureState,
    ProcedureSummary,
    StartProcessCommand,
    StopProcessCommand,
)
from oet_kernel.server.handlers.base import RESOURCE, OetHandler, procedure_id
from oet_kernel.server.handlers.decoding import prepare_request, procedure_update


class ProcedureResource(OetHandler):
    """Base of handlers that answer with procedures."""

    def localise(self, summary: ProcedureSummary, root: str) -> ProcedureSummary:
        """Return the summary with the URL by which this client reaches the procedure."""
        return replace(summary, uri=f"{self.api_url(root)}/procedures/{summary.id}")


class ProceduresHandler(ProcedureResource):
    """Collection of procedures."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, root: str) -> None:
        """Send the summaries of active procedures and the newest inactive ones, in order of creation."""
        await self.answer_list("procedures", (self.localise(one, root) for one in self.service.summarise()))

    @web.authenticated
    @authorized(action="execute", resource=RESOURCE)
    async def post(self, root: str) -> None:
        """Create a procedure, without waiting until it is READY."""
        request = prepare_request(self.body)
        checked = await self.context.catalogue.check_creation(
            request.script, request.script_args, required=request.require_script
        )
        planned = checked.main if request.script_args.has_main else None
        command = PrepareProcessCommand(request.script, checked.init)
        summary = await self.service.prepare(command, planned=planned, who=self.caller)
        self.context.catalogue.follow(summary.id, checked.seen)
        summary = self.localise(summary, root)
        self.set_header("Location", summary.uri)
        self.answer({"procedure": summary}, 201)


class ProcedureHandler(ProcedureResource):
    """Single procedure."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, root: str, pid: str) -> None:
        """Send the summary of the procedure."""
        (summary,) = self.service.summarise([procedure_id(pid)])
        self.answer({"procedure": self.localise(summary, root)})

    @web.authenticated
    @authorized(action="execute", resource=RESOURCE)
    async def put(self, root: str, pid: str) -> None:
        """Start the procedure (``state`` RUNNING), stop it (STOPPED), or leave it unchanged (any other state)."""
        uid = procedure_id(pid)
        (summary,) = self.service.summarise([uid])
        update = procedure_update(self.body)
        body: dict[str, Any]
        match update.state:
            case ProcedureState.RUNNING:
                main = update.script_args.main_args
                if self.service.startable(uid):  # any other is left unchanged, whatever the arguments
                    main = await self.context.catalogue.check_main(uid, main, update.script_args.main_name)
                summary = await self.service.start(StartProcessCommand(uid, run_args=main), self.caller)
                body = {"procedure": self.localise(summary, root)}
            case ProcedureState.STOPPED:
                outcome = await self.service.stop(StopProcessCommand(uid, update.abort), self.caller)
                body = {"abort_message": stop_message(uid, outcome.stopped, bool(outcome.aborted))}
            case _:
                body = {"procedure": self.localise(summary, root)}
        self.answer(body)


def stop_message(pid: int, stopped: bool, aborted: bool) -> str:
    """Return the message about a stop that clients print.

    Parameters
    ----------
    pid
        Id of the procedure.
    stopped
        False if the procedure had already ended.
    aborted
        Whether an abort script was run.
    """
    if not stopped:
        return f"Cannot stop script with ID {pid}: Script is not running"
    suffix = " and aborted subarray activity" if aborted else ""
    return f"Successfully stopped script with ID {pid}{suffix}"


def routes(root: str) -> list[tuple[str, type[OetHandler]]]:
    """Return paths and handlers under an API root, given as a pattern with one group."""
    return [(rf"{root}/procedures/?", ProceduresHandler), (rf"{root}/procedures/([^/]+)/?", ProcedureHandler)]
