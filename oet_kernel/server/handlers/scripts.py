"""``/scripts``: available scripts, and their arguments."""

from jupyter_server.auth.decorator import authorized
from tornado import web

from oet_kernel.errors import MalformedRequest
from oet_kernel.server.handlers.base import RESOURCE, OetHandler


class ScriptsHandler(OetHandler):
    """Scripts in the configured folders."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, root: str) -> None:
        """Send the list of scripts."""
        self.answer(await self.context.catalogue.scripts())


class SchemaHandler(OetHandler):
    """Arguments of a script."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, root: str) -> None:
        """Send the JSON Schemas of the script's functions."""
        uri = self.query_text("uri") or ""
        if not uri:
            raise MalformedRequest("$.uri: required: /scripts/schema?uri=file:///path.py")
        self.answer(await self.context.catalogue.schema(uri))


def routes(root: str) -> list[tuple[str, type[OetHandler]]]:
    """Return paths and handlers under an API root, given as a pattern with one group."""
    return [(rf"{root}/scripts/?", ScriptsHandler), (rf"{root}/scripts/schema/?", SchemaHandler)]
