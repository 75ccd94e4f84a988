"""``/procedures/<id>/kernel``: connection and control of a procedure's kernel."""

from jupyter_server.auth.decorator import authorized
from tornado import web

from oet_kernel.models import ControlUpdate
from oet_kernel.server.handlers.base import RESOURCE, OetHandler, procedure_id
from oet_kernel.server.handlers.decoding import decode


class KernelHandler(OetHandler):
    """Kernel of one procedure."""

    @web.authenticated
    @authorized(action="execute", resource=RESOURCE)
    async def get(self, root: str, pid: str) -> None:
        """Send the kernel's connection; requires the right to execute, since it allows taking control."""
        self._answer_info(self.context.attachments.kernel(procedure_id(pid)))

    @web.authenticated
    @authorized(action="execute", resource=RESOURCE)
    async def put(self, root: str, pid: str) -> None:
        """Acquire control, so that attached clients may type, or release it."""
        uid = procedure_id(pid)
        self.context.attachments.kernel(uid)
        update = decode(self.body, ControlUpdate)
        self._answer_info(await self.context.attachments.control(uid, self.caller, update.control))

    def _answer_info(self, info: object) -> None:
        self.set_header("Cache-Control", "no-store")  # the body holds a key
        self.answer({"kernel": info})


def routes(root: str) -> list[tuple[str, type[OetHandler]]]:
    """Return paths and handlers under an API root, given as a pattern with one group."""
    return [(rf"{root}/procedures/([^/]+)/kernel/?", KernelHandler)]
