"""Topics of the service, its kernels and its announcements by name, and the topics that are reserved."""

from functools import lru_cache

REQUEST_CREATE = "request.procedure.create"
REQUEST_START = "request.procedure.start"
REQUEST_STOP = "request.procedure.stop"
REQUEST_PAUSE = "request.procedure.pause"
REQUEST_RESUME = "request.procedure.resume"
REQUEST_LIST = "request.procedure.list"
REQUEST_ACTIVITY_RUN = "request.activity.run"
REQUEST_ACTIVITY_LIST = "request.activity.list"
STATECHANGE = "procedure.lifecycle.statechange"
STACKTRACE = "procedure.lifecycle.stacktrace"
CREATED = "procedure.lifecycle.created"
STARTED = "procedure.lifecycle.started"
COMPLETE = "procedure.lifecycle.complete"
FAILED = "procedure.lifecycle.failed"
STOPPED = "procedure.lifecycle.stopped"
PAUSING = "procedure.lifecycle.pausing"
PAUSED = "procedure.lifecycle.paused"
RESUMED = "procedure.lifecycle.resumed"
UNPAUSED = "procedure.lifecycle.unpaused"
POOL_LIST = "procedure.pool.list"
ACTIVITY_RUNNING = "activity.lifecycle.running"
ACTIVITY_LIST = "activity.pool.list"
OUTPUT_STREAM = "procedure.output.stream"
OUTPUT_DISPLAY = "procedure.output.display"
OUTPUT_WIDGET = "procedure.output.widget"
OUTPUT_CLEAR = "procedure.output.clear"
OUTPUT_ERROR = "procedure.output.error"
KERNEL_CONTROL = "procedure.kernel.control"
CONSOLE_INPUT = "procedure.console.input"
ENVIRONMENT_LOG = "procedure.environment.log"
ENVIRONMENT_DESCRIBED = "procedure.environment.described"
SCRIPT_LOADED = "procedure.script.loaded"
SCRIPT_RETURNED = "procedure.script.returned"
CELL_STARTED = "procedure.cell.started"
CELL_FINISHED = "procedure.cell.finished"
CELL_FAILED = "procedure.cell.failed"
ANNOUNCE = "user.script.announce"

SERVICE = frozenset({"request", "procedure", "activity"})
"""First words of the topics that are reserved for the service."""
KERNEL = frozenset(
    {
        CONSOLE_INPUT,
        ENVIRONMENT_LOG,
        ENVIRONMENT_DESCRIBED,
        SCRIPT_LOADED,
        CELL_STARTED,
        CELL_FINISHED,
        CELL_FAILED,
    }
)
"""Topics of the service on which kernels may publish for it."""
ORIGIN = "origin"
"""Field of an event on a topic of the service that a script has published; its value is ``script``."""
PAUSES = frozenset({PAUSING, PAUSED, RESUMED, UNPAUSED})
"""Topics of events about pauses."""


@lru_cache(4096)
def is_service_topic(topic: str) -> bool:
    """Return whether a topic is reserved for the service; an event of a script on it is marked with `ORIGIN`."""
    return topic.partition(".")[0] in SERVICE


def under(topic: str, prefix: str) -> bool:
    """Return whether a topic is `prefix` or lies below it, by whole dotted words.

    Parameters
    ----------
    topic
        Topic of an event, ``procedure.lifecycle.created``.
    prefix
        Topic or beginning of one, ``procedure.lifecycle``; ``all`` and the empty text include every topic.
    """
    return prefix in ("", "all") or topic == prefix or topic.startswith(prefix + ".")
