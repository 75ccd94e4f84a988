"""``/procedures/<id>/kernel``: how a Jupyter client attaches to a procedure, and who has control of it."""

import re

from jupyter_server.auth.decorator import authorized
from tornado import web

from oet_kernel.errors import ResourceNotFound
from oet_kernel.handlers.base import RESOURCE, OetHandler, id_of
from oet_kernel.handlers.decoding import decode
from oet_kernel.models import ControlUpdate

_MADE_UP = re.compile(r"[0-9a-f]{32}")
"""User name that Jupyter Server gives to whoever shows a token, another one each time."""
_LONGEST = 200


class KernelHandler(OetHandler):
    """The kernel of one procedure."""

    @web.authenticated
    @authorized(action="execute", resource=RESOURCE)
    async def get(self, root: str, pid: str) -> None:
        """Tell how to attach to it; that needs the right to execute, since control can be taken by it."""
        self._answer_info(self.service.inside.kernel(_pid(pid)))

    @web.authenticated
    @authorized(action="execute", resource=RESOURCE)
    async def put(self, root: str, pid: str) -> None:
        """Take control, so that attached clients may type, or give it back."""
        uid = _pid(pid)
        self.service.inside.kernel(uid)
        update = decode(self.body, ControlUpdate)
        self._answer_info(await self.service.inside.control(uid, self._caller(update.who), update.control))

    def _answer_info(self, info: object) -> None:
        self.set_header("Cache-Control", "no-store")  # it holds a key
        self.answer({"kernel": info})

    def _caller(self, claimed: str) -> str:
        """Name who asks: the user that the server knows, else what the client says."""
        user = self.current_user
        if _MADE_UP.fullmatch(user.username):
            return " ".join(claimed.split())[:_LONGEST] or user.name or "somebody"
        return str(user.username)


def _pid(text: str) -> int:
    return id_of(text, ResourceNotFound(f"No information available for PID={text}"))


def routes(root: str) -> list[tuple[str, type[OetHandler]]]:
    """List the handlers and their paths under an API root, given as a pattern with one group."""
    return [(rf"{root}/procedures/([^/]+)/kernel/?", KernelHandler)]
