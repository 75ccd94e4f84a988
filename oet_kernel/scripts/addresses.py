"""Addresses of git repositories: the URL for git, the public form, and the credentials; pure.

The time of every function is proportional to the length of its argument.
"""

import base64
import re
from urllib.parse import unquote

from msgspec import Struct

HIDDEN = "***"
"""Placeholder for credentials."""
LONGEST = 2048
"""Largest length of an address in characters."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*\Z")
_AUTHORITY_ENDS = re.compile(r"[/?#\\]")
_WORD = re.compile(r"[^\s'\"<>`]+")
_WITH_USER = frozenset({"ssh", "git+ssh", "ssh+git"})
"""Schemes whose user is not a credential: ssh logs in with keys."""
_WITH_QUERY = frozenset({"http", "https", "ftp", "ftps"})
_SHORTEST = 4
"""Shortest secret in characters that is searched for by itself; a shorter one would match in any word."""


class Address(Struct, frozen=True, kw_only=True):
    """The parsed address of a repository."""

    text: str
    """The given address, credentials included."""
    url: str
    """Address for git, without credentials."""
    shown: str
    """Public form, with `HIDDEN` in place of credentials."""
    site: str | None = None
    """Scheme, host and port of an address with a scheme, to which the credentials go; None for others."""
    username: str | None = None
    password: str | None = None
    """Decoded password, as is `username`; None where the address has no credentials that git accepts."""
    fault: str | None = None
    """Reason why git cannot use the address; None where it can."""

    @property
    def local(self) -> bool:
        """True for a repository in a local folder."""
        if self.site is not None:
            return self.site.lower().startswith("file:")
        return ":" not in self.text.split("/")[0]

    def scrub(self, text: str) -> str:
        """Replace this address's credentials, and those in any other address, in a text by `HIDDEN`."""
        for secret in self._secrets():
            text = text.replace(secret, HIDDEN)
        return public_text(text)

    def _secrets(self) -> list[str]:
        """Return the forms in which git may repeat the credentials, the longest first."""
        if self.text == self.shown:
            return []
        userinfo, query = _userinfo(self.text)[1], self.text.partition("?")[2]
        user, colon, password = userinfo.partition(":")
        single = [password, unquote(password)] if colon and password else [user, unquote(user)] if userinfo else []
        pair = f"{unquote(user)}:{unquote(password)}".encode()
        encoded = [base64.b64encode(pair).decode()] if userinfo else []
        values = [part.partition("=")[2] or part for part in query.split("&")] if self.fault and query else []
        single = [one for one in (*single, *encoded, *values) if len(one) >= _SHORTEST]
        return sorted({self.text, *([f"{userinfo}@"] if userinfo else []), *single}, key=len, reverse=True)


def parse(text: str) -> Address:
    """Parse the address of a repository.

    Parameters
    ----------
    text
        A URL, ``user@host:path``, or a path.
    """
    scheme, userinfo, host, rest = _parts(text)
    user, colon, password = userinfo.partition(":")
    shown_rest, fault = rest, None
    if scheme.lower() in _WITH_QUERY and "?" in rest:
        shown_rest = f"{rest.partition('?')[0]}?{HIDDEN}"
        fault = (
            "credentials in the query of an address do not reach a git host, since git appends its own paths; "
            "give them as https://user:token@host/path"
        )
    site = f"{scheme}://{host}" if scheme else None
    start = f"{scheme}://" if scheme else ""
    if not scheme or scheme.lower() in _WITH_USER:
        if not colon:
            return Address(text=text, url=text, shown=text, site=site)
        # ssh accepts no password from its caller, so a password is neither used nor shown
        return Address(
            text=text,
            url=f"{start}{user}@{host}{rest}",
            shown=f"{start}{HIDDEN}@{host}{rest}",
            site=site,
            fault=None,
        )
    if not userinfo:
        return Address(text=text, url=text, shown=f"{start}{host}{shown_rest}", site=site, fault=fault)
    return Address(
        text=text,
        url=f"{start}{host}{rest}",
        shown=f"{start}{HIDDEN}@{host}{shown_rest}",
        site=site,
        username=unquote(user),
        password=unquote(password),
        fault=fault,
    )


def relative(parent: Address, url: str) -> Address:
    """Resolve the address of a submodule as git does; on the parent's own host it gets the parent's credentials.

    Parameters
    ----------
    parent
        Address of the repository with the submodule.
    url
        Address in ``.gitmodules``, relative or absolute.
    """
    if not url.startswith(("./", "../")):
        found = parse(url)
        if found.username is None and parent.username is not None and found.site == parent.site:
            scheme, _, host, rest = _parts(url)
            return parse(f"{scheme}://{_userinfo(parent.text)[1]}@{host}{rest}")
        return found
    base = parent.text.rstrip("/")
    while url.startswith(("./", "../")):
        if url.startswith("./"):
            url = url[2:]
        else:
            url = url[3:]
            cut = max(base.rfind("/"), base.rfind(":"))
            base = base[: cut + (base[cut : cut + 1] == ":")] if cut >= 0 else base
    return parse(f"{base}{'' if base.endswith(':') else '/'}{url}")


def name_of(address: Address) -> str:
    """Return a folder name for a repository: the last part of its address, in portable characters."""
    last = re.split(r"[/:]", address.shown.rstrip("/").removesuffix("/.git"))[-1].removesuffix(".git")
    return re.sub(r"[^A-Za-z0-9._-]", "_", last)[:64].strip(".") or "repository"


def public_text(text: str) -> str:
    """Replace the credentials in the addresses of a text by `HIDDEN`: user, password and query values."""
    return _WORD.sub(lambda found: _public_word(found[0]), text) if "://" in text else text


def _public_word(word: str) -> str:
    if "://" not in word:
        return word
    scheme, *rests = word.split("://")
    said = [scheme]
    for rest in rests:
        scheme = re.split(r"[^A-Za-z0-9+.-]", said[-1][-16:])[-1].lower()
        end = _AUTHORITY_ENDS.search(rest)
        authority, tail = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
        userinfo, at, host = authority.rpartition("@")
        if at and userinfo and (":" in userinfo or scheme not in _WITH_USER):
            authority = f"{HIDDEN}@{host}"
        path, query, values = tail.partition("?")
        if query and "=" in values:
            _, sharp, fragment = values.partition("#")
            tail = f"{path}?{HIDDEN}{sharp}{fragment}"
        said.append(f"{authority}{tail}")
    return "://".join(said)


def _parts(text: str) -> tuple[str, str, str, str]:
    """Split an address into scheme (empty without), user information, host with port, and the rest."""
    scheme, separator, rest = text.partition("://")
    if not separator or not _SCHEME.match(scheme):
        scheme, rest = "", text
    end = _AUTHORITY_ENDS.search(rest) if scheme else re.search("/", rest)
    authority, path = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
    userinfo, _, host = authority.rpartition("@")
    return scheme, userinfo, host, path


def _userinfo(text: str) -> tuple[str, str]:
    return _parts(text)[:2]
