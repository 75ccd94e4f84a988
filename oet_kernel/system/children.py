"""What every child process of the service gets: the environment without the service's own secrets and settings."""

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
"""Options of the service that a variable may stand for: ``OET_SCRIPTS_ROOT`` for ``--scripts-root``."""


def variable(option: str) -> str:
    """Return the environment variable that stands for an option of the service."""
    return "OET_" + option.upper().replace("-", "_")


_TRUST = ("token", "token-file", "insecure-no-token", "ip", "port", "state-dir")
"""Options that say who may use a service, and which one it is: each has its own."""


def inherited(
    environ: Mapping[str, str] | None = None, *, without: Iterable[str] = (), settings: bool = False
) -> dict[str, str]:
    """Return the environment variables of this process that a child of it may have.

    The token of the service, and what else speaks for it, is not for scripts, builds, git and their records; its
    settings are not for a service that a child starts.

    Parameters
    ----------
    environ
        Variables; those of this process when None.
    without
        Beginnings of names that this child does not get either.
    settings
        True for an embedded service, which gets the user's settings, but for those that say who may use it.
    """
    beginnings = tuple(without)
    found = os.environ if environ is None else environ
    dropped = _SECRETS | {variable(option) for option in (_TRUST if settings else SETTINGS)}
    return {name: value for name, value in found.items() if name not in dropped and not name.startswith(beginnings)}
