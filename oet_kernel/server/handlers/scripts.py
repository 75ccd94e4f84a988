"""``/scripts``: which scripts there are, and what they take."""

from jupyter_server.auth.decorator import authorized
from tornado import web

from oet_kernel.errors import MalformedRequest
from oet_kernel.server.handlers.base import RESOURCE, OetHandler


class ScriptsHandler(OetHandler):
    """The scripts in the configured folders."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, root: str) -> None:
        """List them."""
        self.answer(await self.context.catalogue.scripts())


class SchemaHandler(OetHandler):
    """What a script takes."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, root: str) -> None:
        """Give the JSON Schemas of its functions."""
        uri = self.query_text("uri") or ""
        if not uri:
            raise MalformedRequest("$.uri: required: /scripts/schema?uri=file:///path.py")
        self.answer(await self.context.catalogue.schema(uri))


def routes(root: str) -> list[tuple[str, type[OetHandler]]]:
    """List the handlers and their paths under an API root, given as a pattern with one group."""
    return [(rf"{root}/scripts/?", ScriptsHandler), (rf"{root}/scripts/schema/?", SchemaHandler)]
