"""``/procedures/<id>/kernel``: how a Jupyter client attaches to a procedure, and who has control of it."""

from jupyter_server.auth.decorator import authorized
from tornado import web

from oet_kernel.models import ControlUpdate
from oet_kernel.server.handlers.base import RESOURCE, OetHandler, procedure_id
from oet_kernel.server.handlers.decoding import decode


class KernelHandler(OetHandler):
    """The kernel of one procedure."""

    @web.authenticated
    @authorized(action="execute", resource=RESOURCE)
    async def get(self, root: str, pid: str) -> None:
        """Tell how to attach to it; that needs the right to execute, since control can be taken by it."""
        self._answer_info(self.service.attachments.kernel(procedure_id(pid)))

    @web.authenticated
    @authorized(action="execute", resource=RESOURCE)
    async def put(self, root: str, pid: str) -> None:
        """Take control, so that attached clients may type, or give it back."""
        uid = procedure_id(pid)
        self.service.attachments.kernel(uid)
        update = decode(self.body, ControlUpdate)
        self._answer_info(await self.service.attachments.control(uid, self.caller, update.control))

    def _answer_info(self, info: object) -> None:
        self.set_header("Cache-Control", "no-store")  # it holds a key
        self.answer({"kernel": info})


def routes(root: str) -> list[tuple[str, type[OetHandler]]]:
    """List the handlers and their paths under an API root, given as a pattern with one group."""
    return [(rf"{root}/procedures/([^/]+)/kernel/?", KernelHandler)]
