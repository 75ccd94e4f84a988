"""Errors for replies and breaks of the connection: request, reason and remedy. Pure functions."""

import ssl

import httpx
import msgspec

from oet_kernel.client import _trust
from oet_kernel.client._address import DEFAULT_URL, ROOT, Address, is_root
from oet_kernel.client._requests import SILENCE
from oet_kernel.client.errors import ApiError, ConnectionFailed, StreamEnded, TlsFailed
from oet_kernel.errors import ErrorBody

_UNKNOWN_PATH = ("Forbidden", "ResourceNotFound", "MethodNotAllowed")
"""Error types of replies for a path outside the API."""


def error_of(status: int, reason: str, body: bytes, url: str = DEFAULT_URL) -> ApiError:
    """Read an error reply.

    Parameters
    ----------
    status, reason, body
        Parts of the reply.
    url
        API root of the request. If neither its end nor the reply shows that it is one, the error says so: any server
        refuses unknown paths.
    """
    try:
        error = msgspec.json.decode(body, type=ErrorBody)
    except msgspec.DecodeError:
        if not is_root(url):
            return no_root(status, reason, url)
        return ApiError(f"{status} {reason}", reason, body.decode(errors="replace")[:500] or reason)
    if not is_root(url) and error.type in _UNKNOWN_PATH and ROOT.removesuffix(".0") not in error.Message:
        return no_root(status, reason, url)
    where = f" ({error.detail})" if error.detail else ""
    return ApiError(error.error, error.type, f"{error.Message}{where}")


def no_root(status: int, reason: str, url: str) -> ApiError:
    """Return the error for an address that is not an API root."""
    scheme, _, rest = url.partition("://")
    origin = f"{scheme}://{rest.partition('/')[0]}"
    said = f"{url} is not the root of this API, which ends in {ROOT}: {origin}{ROOT} of 'oet serve', "
    said += f"{url}/oet{ROOT} of a Jupyter server that serves at {url}"
    return ApiError(f"{status} {reason}", "NoApiRoot", said)


def not_reached(address: Address, error: Exception) -> ConnectionFailed:
    """Return the error for an unanswered request: no service, certificate, timeout, or address."""
    url = address.url
    if (tls := _tls_error(error)) is not None:
        return TlsFailed(_trust.explain(url, tls))
    why = str(error) or type(error).__name__
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout():
            said = f"No service answers at {url} ({why}); start one with 'oet serve', or name another with "
            return ConnectionFailed(f"{said}--server-url or OET_URL")
        case httpx.TimeoutException():
            return ConnectionFailed(f"The service at {url} has not answered in time ({why}); ask again, or see its log")
        case httpx.InvalidURL() | httpx.UnsupportedProtocol() | httpx.LocalProtocolError():
            said = f"{url!r} is not a valid address of a service: {why}"
            return ConnectionFailed(f"{said}; write the address as http://host:5000/api/v1.0")
    said = f"The service at {url} has ended the connection without an answer ({why})"
    if url.startswith("http:"):
        return ConnectionFailed(f"{said}; ask again, or, if it has a certificate, write https:// for http://")
    return ConnectionFailed(f"{said}; ask again, or see its log")


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """Find the error of a TLS handshake among the causes of an error."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error


def reason(error: httpx.TransportError) -> str:
    """Return the reason of a break of the stream."""
    return f"no data for {SILENCE:g} s" if isinstance(error, httpx.ReadTimeout) else str(error) or repr(error)


def broken_off(address: Address, why: str) -> StreamEnded:
    """Return the error for a stream that has ended."""
    return StreamEnded(f"The event stream of {address.url} has ended ({why})")


def not_understood(why: str) -> ApiError:
    """Return the error for a reply that is not one of this API."""
    return ApiError("200 OK", "UnexpectedReply", f"The service's reply is not valid: {why}")
