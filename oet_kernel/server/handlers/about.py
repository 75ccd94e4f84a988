"""Health of the service, and the descriptions of its API (OpenAPI) and of its events (AsyncAPI)."""

from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import yaml
from jupyter_server.auth.decorator import allow_unauthenticated, authorized
from tornado import web

from oet_kernel._version import __version__
from oet_kernel.models import to_json
from oet_kernel.server.handlers.base import RESOURCE, OetHandler
from oet_kernel.system.supervision import faults


class HealthHandler(OetHandler):
    """Health of the service; open to all, since monitors have no token: it returns only status, version and counts."""

    _track_activity = False
    _needs_service = False

    @allow_unauthenticated
    async def get(self, root: str) -> None:
        """Send status and version, and the reason if the service cannot work at the moment."""
        said: dict[str, object] = {"status": "ok", "version": __version__}
        if (opened := self.shared.opened) is not None:
            if (trouble := opened.journal.trouble) is not None:
                said |= {"status": "degraded", "why": f"Nothing can be written down: {trouble.why}"}
            elif not opened.service.is_resumed:
                why = "The procedures of the previous service are being restored"
                said |= {"status": "starting", "why": why}
            if counts := opened.journal.set_aside.counts:
                said["set_aside"] = dict(counts)
        if count := faults.total():
            said["faults"] = count
        self.answer(said)


class OpenApiHandler(OetHandler):
    """OpenAPI description of the API."""

    _needs_service = False

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, root: str) -> None:
        """Send the OpenAPI 3.1 document, with the root of the request's URL as its server."""
        self.answer({**document("openapi.yaml"), "servers": [{"url": self.api_url(root)}]})


class AsyncApiHandler(OetHandler):
    """AsyncAPI description of the events."""

    _needs_service = False

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, root: str) -> None:
        """Send the AsyncAPI 3.0 document, with the root of the request's URL as its server."""
        described, url = document("asyncapi.yaml"), urlsplit(self.api_url(root))
        asked = {"host": url.netloc, "pathname": url.path, "protocol": url.scheme}
        self.answer({**described, "servers": {"service": {**described["servers"]["service"], **asked}}})


@cache
def document(name: str) -> dict[str, Any]:
    """Read a description, ``openapi.yaml`` or ``asyncapi.yaml``; ``scripts/generate-documents`` writes them."""
    read: dict[str, Any] = yaml.safe_load(files("oet_kernel.server.handlers").joinpath(name).read_text("utf-8"))
    to_json(read)  # YAML has more types than JSON
    return read


def routes(root: str) -> list[tuple[str, type[OetHandler]]]:
    """Return paths and handlers under an API root, given as a pattern with one group."""
    return [
        (rf"{root}/health/?", HealthHandler),
        (rf"{root}/openapi\.json", OpenApiHandler),
        (rf"{root}/asyncapi\.json", AsyncApiHandler),
    ]
