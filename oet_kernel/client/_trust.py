"""Certificate authorities that a client trusts: from its argument, the environment, or this machine."""

import os
import ssl
from pathlib import Path

import certifi

from oet_kernel.client.errors import ClientError

_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables of OpenSSL, requests and curl that name trusted authorities."""


class Trust:
    """Certificate authorities by which services are verified.

    They are read at the first request to a service with a certificate: most have none, and reading is slow.

    Parameters
    ----------
    ca
        PEM file, or folder as made by ``c_rehash``, of the only authorities to trust. None for those named by
        ``SSL_CERT_FILE``, ``SSL_CERT_DIR``, ``REQUESTS_CA_BUNDLE`` and ``CURL_CA_BUNDLE``, or, if none of them is set,
        for those of the system and of the public web.

    Raises
    ------
    ClientError
        When the authorities cannot be read.
    """

    def __init__(self, ca: str | None) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        """TLS context of all connections."""
        self._read = ca is not None
        if ca is not None:
            self._load(ca, "--ca or OET_CA")

    def prepare(self, url: str) -> None:
        """Read the authorities, if this address needs them and they are not read yet.

        Raises
        ------
        ClientError
            When the authorities cannot be read.
        """
        if self._read or not url.startswith("https:"):
            return
        self._read = True
        named = [name for name in _VARIABLES if os.environ.get(name)]
        for name in named:
            self._load(os.environ[name], name)
        if not named:
            self.context.load_default_certs()
            self.context.load_verify_locations(certifi.where())

    def _load(self, named: str, by: str) -> None:
        kind = "capath" if Path(named).is_dir() else "cafile"
        try:
            self.context.load_verify_locations(**{kind: named})
        except ssl.SSLError:
            raise ClientError(f"{named} ({by}) holds no certificate; name a PEM file of the authority") from None
        except OSError as error:
            said = f"The certificate authority {named} ({by}) cannot be read: {error.strerror}"
            raise ClientError(f"{said}; name a PEM file") from None


def explain(url: str, error: ssl.SSLError) -> str:
    """Return a sentence about an error of a service's certificate or TLS, and its remedy.

    Parameters
    ----------
    url
        Address of the service.
    error
        Error of the TLS handshake.
    """
    if not isinstance(error, ssl.SSLCertVerificationError):
        if "ALERT" in (error.reason or ""):
            return f"The service at {url} refuses this client's TLS ({error.reason}); its log says why"
        return f"Nothing at {url} speaks TLS; the address of a service without a certificate begins with http://"
    why = error.verify_message
    match error.verify_code:
        case 9:
            return f"The certificate of {url} is not valid yet ({why}); see whether this machine's clock is right"
        case 10:
            return f"The certificate of {url} has expired ({why}); it must be renewed where the service runs"
        case 62 | 64:
            return f"The certificate of {url} is another host's ({why}); use the name that it was issued for"
        case 2 | 18 | 19 | 20 | 21 | 27:
            return (
                f"The certificate of {url} is not trusted ({why}); if it should be, name the authority that has issued "
                "it, a PEM file, with --ca, OET_CA or SSL_CERT_FILE"
            )
    return f"The certificate of {url} cannot be accepted ({why}); a right one must be made where the service runs"
