"""OetApp: Jupyter Server extension, and its stand-alone form ``oet serve``; configuration and wiring only."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any, ClassVar

from jupyter_server.auth import IdentityProvider
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from traitlets import Bool, Float, Integer, List, Unicode

from oet_kernel._version import __version__
from oet_kernel.errors import BadConfiguration, OetError
from oet_kernel.events.bus import QUEUE_BYTES
from oet_kernel.records.notebook import OUTPUT_LIMIT
from oet_kernel.server.admission import MOST_CONNECTIONS, MOST_OF_ADDRESS, GuardedServerApp
from oet_kernel.server.assembly import SharedService
from oet_kernel.server.configuration import Settings
from oet_kernel.server.handlers.base import NotFoundHandler
from oet_kernel.server.handlers.routes import routes
from oet_kernel.server.identity import TokenIdentityProvider
from oet_kernel.server.logs import moderated
from oet_kernel.settings import EXIT_SECONDS, KERNEL_DEADLINE
from oet_kernel.state import discovery
from oet_kernel.state.folder import usual_folder

EXTENSION_ROOTS = ("oet/api/v1.0", "oet/api/v1")
"""Paths of the API inside any Jupyter server."""
ROOTS = ("api/v1.0", "api/v1")
"""Further paths of the API in a stand-alone server, which existing clients use."""
_KEPT = "login|logout|metrics|static|favicon.ico|api/me"
"""Jupyter Server's own paths that a stand-alone server keeps, as a pattern."""

_NO_TOKEN = {
    "IdentityProvider": {"token": ""},
    "ServerApp": {"disable_check_xsrf": True},
    "OetApp": {"insecure_no_token": True},
}


class OetServerApp(GuardedServerApp):
    """The server when it runs stand-alone: on the port where existing clients look."""

    port_default_value = 5000
    interrupted = False
    """True after Ctrl-C."""
    failed = False
    """True if the service could not start."""

    def init_signal(self) -> None:
        """Install signal handlers: Ctrl-C ends the service as SIGTERM does, without a question, on a terminal or not.

        The event loop handles both signals: a handler of Python's own runs only once the main thread wakes, and the
        system may deliver a signal to another thread.
        """
        super().init_signal()
        loop = self.io_loop.asyncio_loop
        loop.add_signal_handler(signal.SIGTERM, self._signal_stop, signal.SIGTERM, None)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)

    def _interrupt(self) -> None:
        self.interrupted = True
        self._signal_stop(signal.SIGINT, None)


# Long because traitlets has each option declared here: its name on the command line is `OetApp.` and that of the trait.
class OetApp(ExtensionApp):
    """Prepares, runs, watches and stops procedures, each in a Jupyter kernel of its own."""

    name = "oet"
    app_name = "Observation Execution Tool"
    version = __version__
    description = "Run observing scripts remotely, each in a Jupyter kernel of its own; watch them live."
    extension_url = "/oet/api/v1.0/health"
    serverapp_class = OetServerApp
    load_other_extensions = False
    open_browser = False
    classes = [OetServerApp, IdentityProvider, TokenIdentityProvider]
    subcommands: ClassVar[dict[str, Any]] = {}
    _shared: SharedService | None = None
    _announcement: Path | None = None
    serverapp_config: ClassVar[dict[str, Any]] = {
        "allow_root": True,
        "allow_unauthenticated_access": False,
        "open_browser": False,
        "port_retries": 0,
        "quit_button": False,
        "reraise_server_extension_failures": True,
        "terminals_enabled": False,
        "log_level": "WARN",
    }

    scripts_roots = List(Unicode(), help="Folders that scripts may be read from; empty allows any folder.").tag(
        config=True
    )
    repositories = List(
        Unicode(),
        help="Git repositories that scripts may be read from, by address or its beginning; empty allows any, unless "
        "scripts_roots is set.",
    ).tag(config=True)
    max_scripts = Integer(1000, min=1, help="Maximum number of scripts listed from these folders.").tag(config=True)
    abort_script = Unicode("", help="Script run on the subarray by a stop with abort; empty disables abort.").tag(
        config=True
    )
    archive = Unicode("", help="Folder of scheduling block definitions; empty disables activities.").tag(config=True)
    state_dir = Unicode(help="State folder: database, kernels' journals, records, checkouts.").tag(config=True)
    history = Integer(10, min=0, help="Number of inactive procedures that stay listed.").tag(config=True)
    max_kernels = Integer(200, min=1, help="Maximum number of active procedures.").tag(config=True)
    keep_failed_seconds = Float(
        600.0,
        min=0,
        help="Seconds that the kernel of a failed procedure is kept for post-mortem inspection; 0 disables.",
    ).tag(config=True)
    exit_seconds = Float(
        EXIT_SECONDS,
        min=0,
        help="Seconds for threads and exit handlers of a script to end after main; 0 for no limit.",
    ).tag(config=True)
    starting_kernels = Integer(4, min=1, help="Maximum number of kernel processes started at the same time.").tag(
        config=True
    )
    fork = Bool(True, help="Fork kernels from a process that has imported their modules.").tag(config=True)
    preload = List(
        Unicode(), help="Modules imported by the fork server, such as numpy,astropy; not modules that start threads."
    ).tag(config=True)
    warm_kernels = Integer(1, min=0, help="Number of kernels started ahead of their scripts.").tag(config=True)
    interrupt_seconds = Float(2.0, min=0, help="Grace period in seconds between interrupt and SIGTERM.").tag(
        config=True
    )
    terminate_seconds = Float(1.0, min=0, help="Grace period in seconds between SIGTERM and SIGKILL.").tag(config=True)
    orphan_seconds = Float(
        3600.0, min=0, help="Seconds that a kernel without a service lives after its script has ended; 0 for ever."
    ).tag(config=True)
    exclusive = Bool(True, help="Run one procedure at a time on each subarray.").tag(config=True)
    kernel_seconds = Float(
        KERNEL_DEADLINE, min=0.1, help="Seconds for a kernel to start, and to begin each request."
    ).tag(config=True)
    abort_seconds = Float(60.0, min=0, help="Seconds for the abort script to be READY.").tag(config=True)
    announce_lists = Bool(False, help="Publish each listing as an event, as the original does.").tag(config=True)
    body_limit = Integer(10 << 20, min=1, help="Maximum size of a request body in bytes.").tag(config=True)
    max_connections = Integer(MOST_CONNECTIONS, min=1, help="Maximum number of open connections.").tag(config=True)
    max_address_connections = Integer(
        MOST_OF_ADDRESS, min=1, help="Maximum number of open connections from one address; a proxy counts as one."
    ).tag(config=True)
    heartbeat = Float(15.0, min=0.01, help="Seconds between comments on a silent event stream.").tag(config=True)
    listener_bytes = Integer(QUEUE_BYTES, min=1, help="Bytes a listener may lag behind before it is disconnected.").tag(
        config=True
    )
    record_bytes = Integer(OUTPUT_LIMIT, min=0, help="Characters of output kept in the record of a run.").tag(
        config=True
    )
    git_seconds = Float(120.0, min=0, help="Seconds for fetching from a git repository.").tag(config=True)
    environment_seconds = Float(900.0, min=0, help="Seconds for building the environment of a script.").tag(config=True)
    uv = Bool(True, help="Build environments with uv where it is installed, otherwise with pip.").tag(config=True)
    keep_checkouts = Integer(
        10,
        min=1,
        help="Number of checkouts of ended procedures, of unused environments and of repositories kept.",
    ).tag(config=True)
    keep_days = Float(365.0, min=0, help="Days that ended procedures are kept, with their events and records.").tag(
        config=True
    )
    keep_bytes = Integer(
        20 << 30, min=0, help="Size of the database in bytes above which the oldest ended procedures are removed."
    ).tag(config=True)
    power_safe = Bool(False, help="Flush each event to disk, so that it survives a loss of power; slower.").tag(
        config=True
    )
    detach = Bool(
        True, help="Leave procedures running at SIGTERM for the next service to adopt; Ctrl-C stops them."
    ).tag(config=True)
    insecure_no_token = Bool(
        False, help="Set by --insecure-no-token: anybody who reaches the port may run scripts."
    ).tag(config=True)
    open_at_start = Bool(
        False,
        help="Take the state folder when a Jupyter server starts, not at the first request for procedures; oet serve "
        "always does.",
    ).tag(config=True)
    until_stdin_closes = Bool(False, help="End the service when standard input ends; used by embedded services.").tag(
        config=True
    )

    aliases: ClassVar[dict[str, Any]] = {
        "ip": "ServerApp.ip",
        "port": "ServerApp.port",
        "token": "IdentityProvider.token",
        "token-file": "TokenIdentityProvider.token_file",
        "scripts-root": (
            "OetApp.scripts_roots",
            "Folder that scripts may come from; may be given several times.",
        ),
        "repository": (
            "OetApp.repositories",
            "Git repository that scripts may come from, or the beginning of its address; may be given several times.",
        ),
        "abort-script": "OetApp.abort_script",
        "archive": "OetApp.archive",
        "state-dir": "OetApp.state_dir",
        "preload": "OetApp.preload",
        "warm-kernels": "OetApp.warm_kernels",
    }

    flags: ClassVar[dict[str, Any]] = {
        **ExtensionApp.flags,
        "insecure-no-token": (
            _NO_TOKEN,
            "Require no token: anybody who reaches the port may run scripts as this user.",
        ),
    }

    @classmethod
    def make_serverapp(cls, **kwargs: Any) -> ServerApp:
        """Create the server, which reads the command line, and add the extension's flags; Jupyter adds the aliases."""
        app = super().make_serverapp(**kwargs)
        app.flags.update(cls.flags)
        return app

    def _state_dir_default(self) -> str:
        return str(usual_folder())

    def initialize_settings(self) -> None:
        """Check the configuration; if stand-alone, create the service. An error of either ends the start here.

        Another Jupyter server creates the service at the first request for it, so that one used for notebooks only does
        not take the state folder, which belongs to one service at a time.
        """
        settings = Settings(**{name: getattr(self, name) for name in Settings.__struct_fields__})
        self._shared = SharedService(settings, lambda: self._url, lambda: self._announce(serves=True))
        self.settings["oet_service"] = self._shared
        self.settings["oet_body_limit"] = self.body_limit
        if self._standalone:
            named = self.serverapp.config_file
            if named and not any(Path(named).with_suffix(suffix).is_file() for suffix in (".py", ".json")):
                raise BadConfiguration(f"--config {named} is not a file")
            if not 0 <= self.serverapp.port <= 65535:
                raise BadConfiguration(
                    f"--port {self.serverapp.port} is not a valid port; give 0 to 65535, where 0 is any free port"
                )
            self._shared.make()

    def get_default_logging_config(self) -> dict[str, Any]:
        """Return the logging configuration of Jupyter's applications, with bounds, for this package's messages too."""
        config = moderated(super().get_default_logging_config())
        config["loggers"]["oet_kernel"] = {"level": "DEBUG", "handlers": list(config["handlers"])}
        return config

    def initialize_handlers(self) -> None:
        """Register the handlers under each root of the API."""
        for root in self.roots:
            pattern = f"/({re.escape(root)})"
            self.handlers.extend(routes(pattern))
            self.handlers.append((rf"{pattern}(?:/.*)?", NotFoundHandler))
        if self._standalone:
            self.handlers.append((rf"/(?!{_KEPT}).*", NotFoundHandler))

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        """Open the service once the server takes requests, and print the API's address."""
        if self.until_stdin_closes:
            # first: printing below fails if the reader of standard output is gone
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._read_stdin)
        if self._shared is None:  # it could not be loaded; the error is reported already
            return
        if not self._standalone:
            await self._wait_to_be_asked(self._shared)
            return
        try:
            await self._shared.open()
        except Exception:
            self.log.critical("The service cannot start", exc_info=True)
            serverapp.failed = True
            serverapp.stop()
            return
        print(f"OET API at {self._url}/", flush=True)  # noqa: T201 - the one line that reports readiness
        if self.insecure_no_token:
            self.log.warning("No token is asked: anybody who reaches %s can run scripts as this user", self._url)

    async def _wait_to_be_asked(self, shared: SharedService) -> None:
        """Register the server's address for this user's commands; take the state folder only if that is configured."""
        self._announce(serves=False)
        try:
            if self.open_at_start:
                await shared.open()
        except OetError as error:
            self.log.error("This server cannot run procedures at present: %s", error)

    @property
    def _url(self) -> str:
        """URL of the API's root."""
        return f"{self.serverapp.connection_url.rstrip('/')}/{self.roots[-2]}"

    def _announce(self, *, serves: bool) -> None:
        token = self.serverapp.identity_provider.token or None
        state_dir = str(self.state_folder)
        try:
            self._announcement = discovery.announce(self._url, token, state_dir, serves=serves)
        except OSError as error:
            self.log.error(
                "Commands cannot discover this service (%s); give its address with --server-url or OET_URL", error
            )

    def _read_stdin(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self.serverapp.stop()

    async def stop_extension(self) -> None:
        """Close every stream, stop procedures unless they are to go on, and release the state folder.

        Errors are logged and not raised: otherwise Jupyter Server would end neither other extensions nor itself.
        """
        try:
            if self._announcement is not None:
                discovery.withdraw(self._announcement)
            if self._shared is not None:
                await self._shared.close(leave=self._leaves_procedures())
        except Exception:
            self.log.exception("The service failed while it ended")

    def _leaves_procedures(self) -> bool:
        interrupted = isinstance(self.serverapp, OetServerApp) and self.serverapp.interrupted
        return self.detach and not interrupted and not self.until_stdin_closes

    @property
    def state_folder(self) -> Path:
        """State folder of the service."""
        return Path(self.state_dir).expanduser()

    @property
    def roots(self) -> tuple[str, ...]:
        """Paths of the API under the server's base URL."""
        return (*EXTENSION_ROOTS, *ROOTS) if self._standalone else EXTENSION_ROOTS

    @property
    def _standalone(self) -> bool:
        """False if another application (JupyterLab, Jupyter Server) has loaded this extension."""
        return self.serverapp.starter_app is self
