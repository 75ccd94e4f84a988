"""``/procedures/<id>/pause`` and ``/resume``: pause a procedure at a checkpoint, and resume it."""

from jupyter_server.auth.decorator import authorized
from tornado import web

from oet_kernel.models import PauseProcessCommand, PauseRequest, ResumeProcessCommand
from oet_kernel.server.handlers.base import RESOURCE, OetHandler, procedure_id
from oet_kernel.server.handlers.decoding import decode
from oet_kernel.server.handlers.procedures import ProcedureResource


class PauseHandler(ProcedureResource):
    """Pause of one procedure."""

    @web.authenticated
    @authorized(action="execute", resource=RESOURCE)
    async def post(self, root: str, pid: str) -> None:
        """Request a pause, without waiting until a checkpoint is reached."""
        uid = procedure_id(pid)
        request = decode(self.body, PauseRequest) if self.body.strip() else PauseRequest()
        summary = await self.context.pauses.pause(PauseProcessCommand(uid, request.at), self.caller)
        self.answer({"procedure": self.localise(summary, root)})


class ResumeHandler(ProcedureResource):
    """End of a pause."""

    @web.authenticated
    @authorized(action="execute", resource=RESOURCE)
    async def post(self, root: str, pid: str) -> None:
        """Resume the procedure; the body is ignored."""
        summary = await self.context.pauses.resume(ResumeProcessCommand(procedure_id(pid)), self.caller)
        self.answer({"procedure": self.localise(summary, root)})


def routes(root: str) -> list[tuple[str, type[OetHandler]]]:
    """Return paths and handlers under an API root, given as a pattern with one group."""
    return [
        (rf"{root}/procedures/([^/]+)/pause/?", PauseHandler),
        (rf"{root}/procedures/([^/]+)/resume/?", ResumeHandler),
    ]
