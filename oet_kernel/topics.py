"""Catalogue of topics, with the fields of each event.

Source: the wire contract of the original; for ``procedure.output``, ``procedure.environment``, ``procedure.script``,
``procedure.cell``, ``procedure.kernel``, ``procedure.console``, and for pausing and resuming, this project.
Every event also has ``msg_src`` and ``topic``; a field named here is always present.
"""

from functools import lru_cache
from types import MappingProxyType

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

TOPICS = MappingProxyType(
    {
        REQUEST_CREATE: ("request_id", "cmd"),
        REQUEST_START: ("request_id", "cmd"),
        REQUEST_STOP: ("request_id", "cmd"),
        REQUEST_PAUSE: ("request_id", "cmd"),
        REQUEST_RESUME: ("request_id", "cmd"),
        REQUEST_LIST: ("request_id", "pids"),
        REQUEST_ACTIVITY_RUN: ("request_id", "cmd"),
        REQUEST_ACTIVITY_LIST: ("request_id", "activity_ids"),
        STATECHANGE: ("new_state",),
        STACKTRACE: ("stacktrace",),
        CREATED: ("request_id", "result"),
        STARTED: ("request_id", "result"),
        COMPLETE: ("request_id", "result"),
        FAILED: ("request_id", "result"),
        STOPPED: ("request_id", "result"),
        PAUSING: ("at", "who"),
        PAUSED: ("checkpoint",),
        RESUMED: ("checkpoint", "who"),
        UNPAUSED: ("why",),
        POOL_LIST: ("request_id", "result"),
        ACTIVITY_RUNNING: ("request_id", "result"),
        ACTIVITY_LIST: ("request_id", "result"),
        OUTPUT_STREAM: ("call", "name", "text"),
        OUTPUT_DISPLAY: ("call", "data", "metadata"),
        OUTPUT_WIDGET: ("call", "model_id", "state"),
        OUTPUT_CLEAR: ("call", "wait"),
        OUTPUT_ERROR: ("call", "ename", "evalue", "traceback"),
        KERNEL_CONTROL: ("who", "taken"),
        CONSOLE_INPUT: ("who", "code", "msg_id"),
        ENVIRONMENT_LOG: ("text",),
        ENVIRONMENT_DESCRIBED: ("host", "user", "python", "packages"),
        SCRIPT_LOADED: ("path", "sha256", "commit", "source"),
        SCRIPT_RETURNED: ("type", "value", "text"),
        CELL_STARTED: ("call", "id", "number", "count", "tags", "source"),
        CELL_FINISHED: ("call", "id", "number", "count", "tags"),
        CELL_FAILED: ("call", "id", "number", "count", "tags", "stacktrace", "expected"),
        ANNOUNCE: ("msg",),
        "sb.lifecycle.allocated": ("sb_id",),
        "sb.lifecycle.observation.started": ("sb_id",),
        "sb.lifecycle.observation.finished.succeeded": ("sb_id",),
        "sb.lifecycle.observation.finished.failed": ("sb_id",),
        "subarray.resources.allocated": ("subarray_id",),
        "subarray.resources.deallocated": ("subarray_id",),
        "subarray.configured": ("subarray_id",),
        "subarray.scan.started": ("subarray_id",),
        "subarray.scan.finished": ("subarray_id",),
        "subarray.fault": ("subarray_id", "error"),
        "scan.lifecycle.configure.started": ("sb_id", "scan_id"),
        "scan.lifecycle.configure.complete": ("sb_id", "scan_id"),
        "scan.lifecycle.configure.failed": ("sb_id", "scan_id"),
        "scan.lifecycle.start": ("sb_id",),
        "scan.lifecycle.end.succeeded": ("sb_id", "scan_id"),
        "scan.lifecycle.end.failed": ("sb_id", "scan_id"),
    }
)
"""Topics of the contract and their fields, in documented order."""


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
