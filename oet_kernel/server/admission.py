"""Admission: bounds of connections and requests, applied before any handler.

They apply to Jupyter's own routes (login, static files, metrics) as to those of the API.
"""

import asyncio
import ipaddress
import logging
import os
import resource
import socket
from collections import Counter
from collections.abc import Callable, Collection
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

from jupyter_server.auth import IdentityProvider
from jupyter_server.serverapp import ServerApp
from msgspec import Struct
from tornado import httputil
from tornado.http1connection import HTTP1Connection, HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from traitlets import default

from oet_kernel.errors import AddressTooLong, BadConfiguration, BodyTooLarge, OetError, Unauthorized
from oet_kernel.models import to_json
from oet_kernel.server.identity import TokenIdentityProvider, cookie_secret
from oet_kernel.server.logs import moderated

log = logging.getLogger(__name__)

IDLE_SECONDS = 60.0
"""Seconds after which a connection is closed without a first request, or after its last reply."""
BODY_SECONDS = 120.0
"""Seconds within which the body of a request must arrive."""
BODY_LIMIT = 64 << 10
"""Maximum size in bytes of the body of a request outside the API."""
TARGET_LIMIT = 16 << 10
"""Maximum size in bytes of a request's path and query: a script's URI of 4,096 characters, percent-encoded, fits."""
SEND_SECONDS = 60.0
"""Seconds after which a connection is closed if its other end reads none of the data sent to it."""
MOST_CONNECTIONS = 2000
"""Maximum number of open connections."""
MOST_OF_ADDRESS = 1000
"""Maximum number of open connections from one address; behind a proxy all have the proxy's address."""
YOUNG_SECONDS = 10.0
"""Age in seconds below which a request is not closed to make room; all requests but listeners take less."""
RESERVE = 64
"""Number of file descriptors reserved for the service: for a stop, the service's end and /health."""


class Admission(Struct, frozen=True, kw_only=True):
    """Rules for admitting requests."""

    is_api: Callable[[str], bool]
    """Returns whether a path belongs to the API, which bounds bodies itself."""
    names: Collection[str] | None = None
    """Host names that are served, besides IP addresses; None for all names, where a token authenticates the caller."""
    origins: Callable[[str], bool] = lambda origin: False
    """Returns whether pages of another origin may send requests without a token; configured by the operator."""

    def refusal(self, target: str, headers: httputil.HTTPHeaders) -> OetError | None:
        """Return the error that refuses a request; None if it is admitted.

        Parameters
        ----------
        target
            Path and query of the request.
        headers
            Headers of the request.
        """
        if len(target) > TARGET_LIMIT:
            return AddressTooLong(
                f"Path and query have {len(target)} bytes and {TARGET_LIMIT} are allowed; send less in one request"
            )
        length = headers.get("Content-Length", "")
        path = target.partition("?")[0]
        if not self.is_api(path) and length.isdecimal() and (len(length) > 18 or int(length) > BODY_LIMIT):
            return BodyTooLarge(
                f"The body of a request to {path[:100]} has {length[:18]} bytes and {BODY_LIMIT} are allowed"
            )
        return self._stranger(headers) if self.names is not None else None

    def _stranger(self, headers: httputil.HTTPHeaders) -> OetError | None:
        """Refuse a web page's request to a service without a token: by another host name, or from another site."""
        host = headers.get("Host", "")
        name = host_name(host)
        assert self.names is not None
        if name is None or not (name in self.names or _is_address(name)):
            return Unauthorized(
                f"{host[:100]!r} is not a name of this service, which asks for no token; give the name with "
                "--ServerApp.local_hostnames, or start the service with a token",
            )
        origin = headers.get("Origin")
        site = headers.get("Sec-Fetch-Site", "none")
        same = origin is None or origin_host(origin) == host.lower()
        if (same and site in ("none", "same-origin")) or (origin is not None and self.origins(origin)):
            return None
        return Unauthorized(
            f"Pages of {(origin or 'another site')[:100]} may not use this service, which asks for no token; start it "
            "with a token, or name the page's origin with --ServerApp.allow_origin",
        )


def host_name(host: str) -> str | None:
    """Return the name in a Host header in lower case, without the port; None if the header is not valid."""
    name, bracket, _ = host.rpartition("]")
    if bracket:
        return name[1:].lower() if name.startswith("[") else None
    name, _, port = host.lower().partition(":")
    return name.rstrip(".") if name and (not port or port.isdecimal()) else None


def origin_host(origin: str) -> str | None:
    """Return host and port of an origin in lower case; None if it has none, such as ``null``."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    """Return whether a host is an IP address, which no name server can map to a page's own name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class _Request(httputil.HTTPMessageDelegate):
    """Delegate that admits or refuses one request."""

    def __init__(
        self,
        inner: httputil.HTTPMessageDelegate,
        connection: HTTP1Connection,
        admission: Admission,
        came: Callable[[], None],
    ) -> None:
        self._inner = inner
        self._connection = connection
        self._admission = admission
        self._came = came
        self._refused = False

    def headers_received(self, start_line: Any, headers: httputil.HTTPHeaders) -> Any:
        refusal = self._admission.refusal(start_line.path, headers)
        if refusal is None:
            if not self._admission.is_api(start_line.path.partition("?")[0]):
                self._connection.set_max_body_size(BODY_LIMIT)  # for a body without Content-Length
            return self._inner.headers_received(start_line, headers)
        self._refused = True
        body = to_json(refusal.body)
        said = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
        line = httputil.ResponseStartLine("HTTP/1.1", refusal.status.value, refusal.status.phrase)
        self._connection.write_headers(line, httputil.HTTPHeaders(said), body)
        self._connection.finish()
        return None

    def data_received(self, chunk: bytes) -> Any:
        return None if self._refused else self._inner.data_received(chunk)

    def finish(self) -> None:
        self._came()
        if not self._refused:
            self._inner.finish()

    def on_connection_close(self) -> None:
        if not self._refused:
            self._inner.on_connection_close()


class _Connection(Struct, eq=False):
    """Open connection."""

    stream: IOStream
    address: str
    known: bool = False
    """True once a request has arrived by it."""


class BoundedServer(HTTPServer):
    """HTTP server that closes connections that idle or do not read, and makes room where there are too many.

    Connections are closed in this order: one that never made a request, the one that has waited longest for its next
    request, the one with the longest running request: a listener, which reconnects for the rest, or a client that does
    not read its reply. Where all requests are young, the new connection is refused.
    """

    admission: Admission
    most = MOST_CONNECTIONS
    """Maximum number of open connections."""
    most_of_address = MOST_OF_ADDRESS
    """Maximum number of open connections from one address; connections by a unix socket have no address."""

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        """Initialize with the parameters of Tornado's server."""
        bounds = {"idle_connection_timeout": IDLE_SECONDS, "body_timeout": BODY_SECONDS}
        super().initialize(*args, **{**bounds, **kwargs})
        self._open: dict[IOStream, _Connection] = {}
        self._new: dict[_Connection, None] = {}
        self._waiting: dict[_Connection, None] = {}
        self._working: dict[_Connection, float] = {}
        self._by_address: Counter[str] = Counter()

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Accept a connection, if there is room for it."""
        where = str(address[0]) if stream.socket.family in (socket.AF_INET, socket.AF_INET6) else ""
        if not (self._has_room(where) or self._make_room(where)):
            stream.close()
            return
        if where:
            # the system then closes the connection, whether the other end is gone or does not read
            stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(SEND_SECONDS * 1000))
        self._open[stream] = connection = _Connection(stream, where)
        self._new[connection] = None
        self._by_address[where] += 1
        super().handle_stream(stream, address)

    def _is_crowded(self, address: str) -> bool:
        return bool(address) and self._by_address[address] >= self.most_of_address

    def _has_room(self, address: str) -> bool:
        if self._is_crowded(address) or len(self._open) >= self.most:
            return False
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        reserve = min(RESERVE, limit // 4)
        # counted only where connections may use most descriptors
        return not (0 < limit < len(self._open) * 4 and len(os.listdir("/proc/self/fd")) > limit - reserve)

    def _make_room(self, address: str) -> bool:
        """Close the least needed connection; one of this address if this address has too many."""
        crowded = self._is_crowded(address)
        young = asyncio.get_running_loop().time() - YOUNG_SECONDS
        old = (one for one, since in self._working.items() if since < young)
        for connection in chain(self._new, self._waiting, old):
            if not crowded or connection.address == address:
                log.warning("Too many connections%s: the oldest is closed", f" from {address}" if crowded else "")
                connection.stream.close()
                self._forget(connection)
                return True
        log.warning("Too many connections%s: one is refused", f" from {address}" if crowded else "")
        return False

    def start_request(self, server_conn: object, request_conn: httputil.HTTPConnection) -> httputil.HTTPMessageDelegate:
        """Return the delegate for the next request of a connection."""
        assert isinstance(server_conn, HTTP1ServerConnection)
        assert isinstance(request_conn, HTTP1Connection)
        connection = self._open.get(server_conn.stream)
        if connection is not None and connection.known:
            self._working.pop(connection, None)
            self._waiting[connection] = None

        def came() -> None:
            if connection is not None and server_conn.stream in self._open:
                connection.known = True
                self._new.pop(connection, None)
                self._waiting.pop(connection, None)
                self._working[connection] = asyncio.get_running_loop().time()

        return _Request(super().start_request(server_conn, request_conn), request_conn, self.admission, came)

    def on_close(self, server_conn: object) -> None:
        """Forget a connection."""
        super().on_close(server_conn)
        assert isinstance(server_conn, HTTP1ServerConnection)
        if (connection := self._open.get(server_conn.stream)) is not None:
            self._forget(connection)

    def _forget(self, connection: _Connection) -> None:
        if self._open.pop(connection.stream, None) is None:
            return
        self._by_address[connection.address] -= 1
        if not self._by_address[connection.address]:
            del self._by_address[connection.address]
        for group in (self._new, self._waiting, self._working):
            group.pop(connection, None)


class GuardedServerApp(ServerApp):
    """A Jupyter server that serves one extension alone, with bounds for all its routes."""

    @default("identity_provider_class")
    def _default_identity_provider_class(self) -> type[IdentityProvider]:
        return TokenIdentityProvider

    def get_default_logging_config(self) -> dict[str, Any]:
        """Return the logging configuration of Jupyter Server, with bounds."""
        return moderated(super().get_default_logging_config())

    @default("cookie_secret")
    def _default_cookie_secret(self) -> bytes:
        return os.urandom(32)  # until the state folder is there; the secret of the user's other servers is not used

    def init_configurables(self) -> None:
        """Create the identity provider; an empty token is an error, not a way to disable authentication.

        Raises
        ------
        BadConfiguration
        """
        super().init_configurables()
        provider = self.identity_provider
        if self._open and not self.starter_app.insecure_no_token:
            raise BadConfiguration(
                "The token is empty; leave out --token for a generated token, or require no token with "
                "--insecure-no-token"
            )
        if not self._open and str(provider.token) != str(provider.token).strip():
            raise BadConfiguration("The token begins or ends with a blank, which no client can send; remove the blank")

    @property
    def _open(self) -> bool:
        """True if no token is required."""
        provider = self.identity_provider
        return not getattr(provider, "auth_enabled", True) or (
            isinstance(provider, TokenIdentityProvider) and not str(provider.token).strip()
        )

    def init_httpserver(self) -> None:
        """Create the bounded HTTP server and listen; the service holds the state folder by now."""
        folder = self.starter_app.state_folder
        self.web_app.settings["cookie_secret"] = cookie_secret(folder, self.identity_provider)
        self._http_server = BoundedServer(
            self.web_app,
            ssl_options=self.ssl_options,
            xheaders=self.trust_xheaders,
            max_body_size=self.max_body_size,
            max_buffer_size=self.max_buffer_size,
        )
        self._http_server.most = self.starter_app.max_connections
        self._http_server.most_of_address = self.starter_app.max_address_connections
        roots = tuple(f"{self.base_url}{root}" for root in self.starter_app.roots)
        names = None
        if self._open:
            names = frozenset(one.lower() for one in ("localhost", self.ip, *self.local_hostnames) if one)
        self._http_server.admission = Admission(
            is_api=lambda path: any(path == root or path.startswith(f"{root}/") for root in roots),
            names=names,
            origins=self._named_origin,
        )
        if not self.sock:
            self._find_http_port()
        self.io_loop.add_callback(self._bind_http_server)

    def _named_origin(self, origin: str) -> bool:
        return bool(self.allow_origin) and self.allow_origin != "*" and origin.lower() == self.allow_origin.lower()
