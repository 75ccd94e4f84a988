"""Where a service is, and what it wants to see: from arguments, the environment, and what runs on this machine."""

import getpass
import os
import socket
from pathlib import Path
from urllib.parse import quote

import msgspec
from msgspec import Struct

from oet_kernel import discovery
from oet_kernel.client.errors import ClientError
from oet_kernel.models import USER

DEFAULT_URL = "http://127.0.0.1:5000/api/v1.0"
"""Where a service is when nothing says otherwise."""


class Address(Struct, frozen=True):
    """Where a service is, and what it wants to see."""

    url: str
    token: str | None
    user: str
    """Who asks."""
    ca: str | None = None
    """File or folder of the only authorities to trust; None for those that this machine trusts."""
    state_dir: str | None = None
    """State folder of the service, where it is one that this user runs on this machine."""
    found_url: bool = False
    found_token: bool = False

    @property
    def is_here(self) -> bool:
        """True for a service that this user runs on this machine."""
        return self.state_dir is not None

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every request."""
        authorization = {"Authorization": f"token {self.token}"} if self.token else {}
        return {USER: quote(self.user, safe="@ "), **authorization}


def own_name() -> str:
    """Name the user of this process, and the machine."""
    try:
        name = getpass.getuser()
    except (ImportError, OSError, KeyError):  # a container's user without a name; Windows without USERNAME
        name = "somebody"
    return f"{name}@{socket.gethostname()}"


def find_address(url: str | None, token: str | None, user: str | None = None, ca: str | Path | None = None) -> Address:
    """Say which service to talk to.

    Parameters
    ----------
    url
        API root; without it ``OET_URL``, the older ``OET_REST_URI`` (which ends in ``/procedures``), the newest service
        that this user runs on this machine, or the default address.
    token
        Its token; without it ``OET_TOKEN``, or that of the service on this machine which has this address.
    user
        Who asks; the system's user and host when None.
    ca
        File or folder of the only authorities to trust; without it ``OET_CA``.

    Raises
    ------
    ClientError
        When the token cannot be sent in a header.
    """
    user = user or own_name()
    older = os.environ.get("OET_REST_URI", "").rstrip("/").removesuffix("/procedures")
    url = (url or os.environ.get("OET_URL") or older).rstrip("/")
    token = token or os.environ.get("OET_TOKEN")
    if token and not (token.isascii() and token.isprintable()):
        raise ClientError("The token holds characters that no token has (not ASCII, or a line end); give it anew")
    ca = ca or os.environ.get("OET_CA")
    address = Address(url or DEFAULT_URL, token, user, str(Path(ca).expanduser().absolute()) if ca else None)
    services = discovery.find()
    if not url:
        if not services:
            return address
        newest = services[0]
        return msgspec.structs.replace(
            address,
            url=newest.url,
            token=token or newest.token,
            state_dir=newest.state_dir,
            found_url=True,
            found_token=not token,
        )
    same = next((service for service in services if _port_and_path(service.url) == _port_and_path(url)), None)
    if same is None:
        return address
    return msgspec.structs.replace(address, token=token or same.token, state_dir=same.state_dir, found_token=not token)


def find_again(address: Address) -> Address:
    """Look up what was looked up before: a service that was started anew may have another port, and another token.

    Parameters
    ----------
    address
        Where the service was.

    Returns
    -------
    Address
        Where the service on the same state folder is now; as it was, where there is none or the user has named it.
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
    """Compare addresses of this machine, whatever name it has in them."""
    for host in ("localhost", "127.0.0.1", "[::1]"):
        for scheme in ("http", "https"):
            if url.startswith(f"{scheme}://{host}:"):
                return url.removeprefix(f"{scheme}://{host}")
    return url
