"""Environment of child processes of the service, without its own secrets and settings."""

import os
from collections.abc import Iterable, Mapping

_SECRETS = frozenset(
    {
        *("JUPYTER_TOKEN", "JUPYTER_TOKEN_FILE", "JPY_API_TOKEN", "JUPYTERHUB_API_TOKEN"),
        *("CONFIGPROXY_AUTH_TOKEN", "JPY_COOKIE_SECRET", "JUPYTERHUB_COOKIE_SECRET", "JUPYTERHUB_CRYPT_KEY"),
    }
)
"""Variables with credentials of Jupyter servers and hubs."""
SETTINGS = (
    *("token", "token-file", "insecure-no-token", "ip", "port", "scripts-root", "repository", "abort-script"),
    *("archive", "state-dir", "preload", "warm-kernels"),
)
"""Options of the service that a variable may set: ``OET_SCRIPTS_ROOT`` for ``--scripts-root``."""


def variable(option: str) -> str:
    """Return the environment variable for an option of the service."""
    return "OET_" + option.upper().replace("-", "_")


_TRUST = ("token", "token-file", "insecure-no-token", "ip", "port", "state-dir")
"""Options of access and identity, which each service has for itself."""


def inherited(
    environ: Mapping[str, str] | None = None, *, without: Iterable[str] = (), settings: bool = False
) -> dict[str, str]:
    """Return the environment variables that a child process inherits.

    The token and other credentials of the service are withheld from scripts, builds, git and their records; its
    settings are withheld from a service that a child starts.

    Parameters
    ----------
    environ
        Environment variables; None for those of this process.
    without
        Beginnings of further names to withhold.
    settings
        True for an embedded service, which inherits the user's settings except those of access and identity.
    """
    beginnings = tuple(without)
    found = os.environ if environ is None else environ
    dropped = _SECRETS | {variable(option) for option in (_TRUST if settings else SETTINGS)}
    return {name: value for name, value in found.items() if name not in dropped and not name.startswith(beginnings)}
