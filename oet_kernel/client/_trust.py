"""Certificate authorities that a client trusts, from its argument, the environment, and this machine."""

import os
import ssl
from pathlib import Path

import certifi

from oet_kernel.client.errors import ClientError

_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables of OpenSSL, requests and curl; what any of them names is trusted."""


class Trust:
    """The authorities by which certificates of services are checked.

    They are read when the first service with a certificate is asked: most have none, and reading takes long.

    Parameters
    ----------
    ca
        PEM file, or folder as ``c_rehash`` makes it, of the only authorities to trust. None for those that
        ``SSL_CERT_FILE``, ``SSL_CERT_DIR``, ``REQUESTS_CA_BUNDLE`` and ``CURL_CA_BUNDLE`` name, or where none of them
        is set for the system's and those of the public web.

    Raises
    ------
    ClientError
        When they cannot be read.
    """

    def __init__(self, ca: str | None) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        """What connections are made with."""
        self._read = ca is not None
        if ca is not None:
            self._load(ca, "--ca or OET_CA")

    def prepare(self, url: str) -> None:
        """Read the authorities, if they are needed for this address and not read yet.

        Raises
        ------
        ClientError
            When they cannot be read.
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
    """Return what is wrong with a service's certificate or TLS, and what to do, as a sentence.

    Parameters
    ----------
    url
        Address of the service.
    error
        Raised by the handshake.
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
