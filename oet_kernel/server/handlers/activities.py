"""``/activities``: run and list activities of scheduling blocks."""

from jupyter_server.auth.decorator import authorized
from msgspec.structs import replace
from tornado import web

from oet_kernel.errors import ResourceNotFound
from oet_kernel.models import ActivityCommand, ActivitySummary
from oet_kernel.server.handlers.base import RESOURCE, OetHandler, id_of
from oet_kernel.server.handlers.decoding import decode


class _ActivityHandler(OetHandler):
    def localise(self, summary: ActivitySummary, root: str) -> ActivitySummary:
        """Return the summary with the URL by which this client reaches the activity."""
        return replace(summary, uri=f"{self.api_url(root)}/activities/{summary.id}")


class ActivitiesHandler(_ActivityHandler):
    """Collection of activities."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, root: str) -> None:
        """Send the summaries of listed activities, in order of creation."""
        found = self.context.activities.summaries()
        await self.answer_list("activities", (self.localise(one, root) for one in found))

    @web.authenticated
    @authorized(action="execute", resource=RESOURCE)
    async def post(self, root: str) -> None:
        """Run an activity."""
        command = decode(self.body, ActivityCommand)
        summary = self.localise(await self.context.activities.run(command, self.caller), root)
        self.set_header("Location", summary.uri)
        self.answer({"activity": summary}, 201)


class ActivityHandler(_ActivityHandler):
    """Single activity."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, root: str, number: str) -> None:
        """Send the summary of an activity."""
        missing = ResourceNotFound(f"No information available for activity ID={number}")
        (summary,) = self.context.activities.summaries([id_of(number, missing)])
        self.answer({"activity": self.localise(summary, root)})


def routes(root: str) -> list[tuple[str, type[OetHandler]]]:
    """Return paths and handlers under an API root, given as a pattern with one group."""
    return [(rf"{root}/activities/?", ActivitiesHandler), (rf"{root}/activities/([^/]+)/?", ActivityHandler)]
