"""Background tasks of the service, which nobody awaits."""

import logging
from collections.abc import Coroutine
from typing import Any

from oet_kernel.errors import OetError
from oet_kernel.system.supervision import Supervisor

log = logging.getLogger(__name__)


class Background(Supervisor):
    """Background tasks; an error with a text for users is logged, any other exception is reported as a fault."""

    def do(self, work: Coroutine[Any, Any, Any]) -> None:
        """Start a background task, and log its failure.

        Parameters
        ----------
        work
            Coroutine to run.
        """
        self.start("the service", _expected(work))


async def _expected(work: Coroutine[Any, Any, Any]) -> None:
    try:
        await work
    except OetError as error:
        log.warning("%s", error)
