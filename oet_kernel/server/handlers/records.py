"""``/procedures/<id>/record``: record of a procedure, as a notebook or a page."""

from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado import web

from oet_kernel.errors import MalformedRequest
from oet_kernel.records.page import HEADER
from oet_kernel.server.handlers.base import RESOURCE, OetHandler, procedure_id

_TYPES = {"ipynb": "application/x-ipynb+json", "html": "text/html; charset=utf-8"}


class RecordHandler(OetHandler):
    """Record of one procedure."""

    _content_type: str | None = None

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, root: str, pid: str) -> None:
        """Send the present record in the requested ``format``: ``ipynb`` (the default) or ``html``."""
        number = procedure_id(pid)
        kind = self.query_text("format")
        kind = "ipynb" if kind is None else kind
        if kind not in _TYPES:
            raise MalformedRequest(f"format: expected one of {', '.join(_TYPES)}, got {kind!r}")
        records = self.context.records
        data = await (records.html(number) if kind == "html" else records.notebook(number))
        self._content_type = _TYPES[kind]
        self.set_header("Content-Disposition", f'attachment; filename="procedure-{number}.{kind}"')
        self.set_header("Cache-Control", "no-store")
        # a script can display HTML of its own, which must not act in the name of its viewer
        self.set_header("Content-Security-Policy", HEADER)
        self.finish(data)

    def finish(self, *args: Any, **kwargs: Any) -> Any:
        """Finish the response with the type of its content."""
        if self._content_type is not None:
            kwargs["set_content_type"] = self._content_type
        return super().finish(*args, **kwargs)


def routes(root: str) -> list[tuple[str, type[OetHandler]]]:
    """Return paths and handlers under an API root, given as a pattern with one group."""
    return [(rf"{root}/procedures/([^/]+)/record/?", RecordHandler)]
