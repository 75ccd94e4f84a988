"""Address and credentials of a service: from arguments, the environment, and the services on this machine."""

import getpass
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec
from msgspec import Struct

from oet_kernel.client.errors import ClientError, ConnectionFailed
from oet_kernel.models import USER
from oet_kernel.state import discovery
from oet_kernel.state.discovery import Service

ROOT = "/api/v1.0"
"""Path at the end of an API root."""
DEFAULT_URL = f"http://127.0.0.1:5000{ROOT}"
"""API root of a service if no other address is given or found."""
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class Address(Struct, frozen=True):
    """Address and credentials of a service."""

    url: str
    token: str | None
    user: str
    """Name of the requester."""
    ca: str | None = None
    """File or folder of the only certificate authorities to trust; None for those that this machine trusts."""
    state_dir: str | None = None
    """State folder of the service, if this user runs it on this machine; otherwise None."""
    found_url: bool = False
    found_token: bool = False

    @property
    def is_here(self) -> bool:
        """True if this user runs the service on this machine."""
        return self.state_dir is not None

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every request."""
        authorization = {"Authorization": f"token {self.token}"} if self.token else {}
        return {USER: quote(self.user, safe="@ "), **authorization}


def own_name() -> str:
    """Return the user of this process and the host, as ``user@host``."""
    try:
        name = getpass.getuser()
    except (ImportError, OSError, KeyError):  # a container's user without a name; Windows without USERNAME
        name = "somebody"
    return f"{name}@{socket.gethostname()}"


def find_address(url: str | None, token: str | None, user: str | None = None, ca: str | Path | None = None) -> Address:
    """Find the address of the service to use.

    Parameters
    ----------
    url
        API root, or the address of a server, to which ``/api/v1.0`` is added; without it ``OET_URL``, the older
        ``OET_REST_URI`` (which ends in ``/procedures``), the one service that this user runs on this machine, or the
        default address.
    token
        Token of the service; without it ``OET_TOKEN``, or that of the service on this machine with this address.
    user
        Name of the requester; None for the system's user and host.
    ca
        File or folder of the only certificate authorities to trust; without it ``OET_CA``.

    Raises
    ------
    ClientError
        When the token cannot be sent in a header, the address is not that of a service, or no service is named and
        several run on this machine.
    """
    user = user or own_name()
    url = url or os.environ.get("OET_URL") or os.environ.get("OET_REST_URI") or ""
    token = token or os.environ.get("OET_TOKEN")
    if token and not (token.isascii() and token.isprintable()):
        raise ClientError(
            "The token is not valid: it contains a line end or characters outside ASCII; copy the token again"
        )
    ca = ca or os.environ.get("OET_CA")
    services = discovery.find()
    root = read_root(url, [service.url for service in services]) if url else DEFAULT_URL
    address = Address(root, token, user, str(Path(ca).expanduser().absolute()) if ca else None)
    if not url:
        if not services:
            return address
        found = the_one(services)
        return msgspec.structs.replace(
            address,
            url=found.url,
            token=token or found.token,
            state_dir=found.state_dir,
            found_url=True,
            found_token=not token,
        )
    same = next((service for service in services if _port_and_path(service.url) == _port_and_path(root)), None)
    if same is None:
        return address
    return msgspec.structs.replace(address, token=token or same.token, state_dir=same.state_dir, found_token=not token)


def read_root(text: str, here: Sequence[str]) -> str:
    """Return the API root for an address that a user has typed.

    Parameters
    ----------
    text
        API root, API root followed by ``/procedures``, address of a server, or address of a Jupyter server on this
        machine; ``http://`` may be omitted for this machine.
    here
        API roots of the services that run on this machine.

    Raises
    ------
    ConnectionFailed
        When the text is not a valid address.
    """
    url, mark, _ = text.partition("?") if "?" in text else text.partition("#")
    if mark:
        said = f"the address has a part after {mark}; write http://host:5000{ROOT}, the token in OET_TOKEN or --token"
        raise ConnectionFailed(f"{url!r} is not a valid address of a service: {said}")
    url = url.rstrip("/").removesuffix("/procedures").rstrip("/")
    if "://" not in url:
        if not any(url == host or url.startswith((f"{host}:", f"{host}/")) for host in _LOOPBACK):
            said = f"the address begins with neither http:// nor https://; write the address as http://host:5000{ROOT}"
            raise ConnectionFailed(f"{text!r} is not a valid address of a service: {said}")
        url = f"http://{url}"
    if is_root(url):
        return url
    begin = _port_and_path(url)
    for root in here:
        rest = _port_and_path(root).removeprefix(begin)
        if _port_and_path(root).startswith(f"{begin}/") and rest in (ROOT, f"/oet{ROOT}"):
            return f"{url}{rest}"
    return url if "/" in url.partition("://")[2] else f"{url}{ROOT}"


def is_root(url: str) -> bool:
    """Return whether an address ends like an API root."""
    return url.endswith((ROOT, ROOT.removesuffix(".0")))


def the_one(services: Sequence[Service]) -> Service:
    """Return the service to use where none is named: all found ones must have the same state folder.

    Parameters
    ----------
    services
        Result of `discovery.find`, not empty. Servers that have not opened their state folder count only if none
        serves; of several with one folder the newest is used.

    Raises
    ------
    ClientError
        When there are several state folders.
    """
    meant = [service for service in services if service.serves] or services
    if len({service.state_dir for service in meant}) > 1:
        listed = "".join(f"\n  {one.url} (state folder {one.state_dir}, process {one.pid})" for one in meant)
        raise ClientError(f"{len(meant)} services run on this machine; name one with --server-url or OET_URL:{listed}")
    return meant[0]


def find_again(address: Address) -> Address:
    """Look up again the found parts of an address: a restarted service may have another port and another token.

    Parameters
    ----------
    address
        Last address of the service.

    Returns
    -------
    Address
        Present address of the service with the same state folder; unchanged if there is none, or if the user gave it.
    """
    if not (address.found_url or address.found_token):
        return address
    now = next((service for service in discovery.find() if service.state_dir == address.state_dir), None)
    if now is None:
        return address
    return msgspec.structs.replace(
        address,
        url=now.url if address.found_url else address.url,
        token=now.token if address.found_token else address.token,
    )


def _port_and_path(url: str) -> str:
    """Return port and path of an address of this machine, to compare addresses with different host names."""
    for host in _LOOPBACK:
        for scheme in ("http", "https"):
            if url.startswith(f"{scheme}://{host}:"):
                return url.removeprefix(f"{scheme}://{host}")
    return url
