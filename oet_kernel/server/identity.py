"""Authentication of the stand-alone service: token, login by cookie, and delayed answers to wrong tokens."""

import asyncio
import hashlib
import hmac
import os
import secrets
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

from jupyter_server.auth import IdentityProvider, User
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.login import LoginFormHandler
from tornado import web
from traitlets import Float, Type, Unicode, default

from oet_kernel.errors import BadConfiguration
from oet_kernel.state.layout import Layout
from oet_kernel.system.files import write_whole

COOKIE_DAYS = 0.5
"""Duration of a login in days."""
FREE_MISTAKES = 5
"""Number of wrong tokens from one address that are answered at once."""
FORGET_SECONDS = 60.0
"""Seconds without a wrong token after which an address counts as new."""
_ADDRESSES = 10_000
"""Maximum number of remembered addresses."""


class Brake:
    """Count wrong tokens by address.

    The answer to a right token is never delayed: a user who shares an address with a guesser must not be locked out.
    """

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wrong(self, address: str, now: float) -> bool:
        """Count a wrong token, and return whether to delay its answer.

        Parameters
        ----------
        address
            Address of the client.
        now
            Time in seconds of a monotonic clock.
        """
        count, last = self._wrong.pop(address, (0, now))
        count = 1 if now - last > FORGET_SECONDS else count + 1
        self._wrong[address] = (count, now)
        if len(self._wrong) > _ADDRESSES:
            self._wrong.popitem(last=False)
        return count > FREE_MISTAKES


class LoginHandler(LoginFormHandler):
    """Login form that accepts the token only."""

    @allow_unauthenticated
    async def post(self) -> None:
        """Log in; the answer to a wrong token may be delayed."""
        provider: TokenIdentityProvider = self.identity_provider
        given = self.get_body_argument("password", "")
        if not provider.is_token(given):
            await provider.hold_back(self)
        super().post()


class TokenIdentityProvider(IdentityProvider):
    """Knows callers by the service's token, and by cookies that only its login form gives.

    Unlike Jupyter's own it stores no password, gives no cookie to a request that brings the token or to a caller
    whom nobody asked for one, and compares in constant time.
    """

    token_file = Unicode(
        "", help="File that holds the token; the value of --token is visible to all users of the machine."
    ).tag(config=True)
    mistake_seconds = Float(
        1.0, min=0, help="Seconds that the answer to a wrong token is held back, after the first few from an address."
    ).tag(config=True)
    login_handler_class = Type(LoginHandler, klass=web.RequestHandler, config=True, help="Handler of /login.")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._brake = Brake()

    @default("cookie_options")
    def _cookie_options_default(self) -> dict[str, Any]:
        return {"expires_days": COOKIE_DAYS, "samesite": "Strict"}

    @default("get_secure_cookie_kwargs")
    def _reading_default(self) -> dict[str, Any]:
        return {"max_age_days": COOKIE_DAYS}

    @default("token")
    def _token_default(self) -> str:
        named = self.token_file or (not os.environ.get("JUPYTER_TOKEN") and os.environ.get("JUPYTER_TOKEN_FILE"))
        if not named:
            generated: str = super()._token_default()
            return generated
        try:
            token = Path(named).expanduser().read_text("utf-8").strip()
        except (OSError, ValueError) as error:
            raise BadConfiguration(f"--token-file {named} cannot be read: {error}") from None
        if not token:
            raise BadConfiguration(f"--token-file {named} is empty; write a token into it")
        return token

    @property
    def auth_enabled(self) -> bool:
        """True unless the service runs without a token."""
        return bool(self.token)

    def is_token(self, given: str) -> bool:
        """Return whether a text is the token, by a comparison in constant time."""
        token = str(self.token)
        return bool(token) and hmac.compare_digest(given.encode("utf-8", "surrogatepass"), token.encode())

    async def hold_back(self, handler: web.RequestHandler) -> None:
        """Count a wrong token, and wait if its answer is to be delayed."""
        if self._brake.wrong(str(handler.request.remote_ip), time.monotonic()):
            await asyncio.sleep(self.mistake_seconds)

    async def _get_user(self, handler: web.RequestHandler) -> User | None:
        """Return the caller; None if not authenticated. Sets no cookie."""
        if known := getattr(handler, "_jupyter_current_user", None):
            return known
        if not self.auth_enabled:
            return self.generate_anonymous_user(handler)
        given = self.get_token(handler)
        if given and self.is_token(given):
            handler._token_authenticated = True  # type: ignore[attr-defined]
            return self.get_user_cookie(handler) or self.generate_anonymous_user(handler)
        if given:
            await self.hold_back(handler)
        return self.get_user_cookie(handler)

    def process_login_form(self, handler: web.RequestHandler) -> User | None:
        """Return a user if the form holds the token; None otherwise."""
        if not self.auth_enabled or self.is_token(handler.get_body_argument("password", "")):
            return self.generate_anonymous_user(handler)
        return None


def cookie_secret(folder: Path, provider: IdentityProvider) -> bytes:
    """Return the secret that signs the cookies of a service; it differs by state folder and by token.

    Parameters
    ----------
    folder
        State folder, held by this service. The key is created there if it is missing.
    provider
        Identity provider of the server; its hook for passwords is applied too.
    """
    path = Layout(folder).cookie_secret
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = b""
    if len(key) < 32:
        key = secrets.token_bytes(32)
        write_whole(path, key)
    mixed = hmac.new(key, str(provider.token).encode(), hashlib.sha256)
    secret: bytes = provider.cookie_secret_hook(mixed).digest()
    return secret
