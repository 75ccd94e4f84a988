"""Addresses of repositories: what git is called with, what everybody sees, and what is taken out of texts."""

import pytest

from oet_kernel.scripts.addresses import name_of, parse, public_text, relative
from tests.growth import assert_linear

ADDRESSES = [
    # address, what everybody sees, what git is called with, user name and password
    ("https://me:secret@h.org/r.git", "https://***@h.org/r.git", "https://h.org/r.git", ("me", "secret")),
    ("https://t0ken@h.org:8443/r", "https://***@h.org:8443/r", "https://h.org:8443/r", ("t0ken", "")),
    ("HTTPS://me:p%40ss%2Fw@h.org/r", "HTTPS://***@h.org/r", "HTTPS://h.org/r", ("me", "p@ss/w")),
    ("https://me:p@ss@h.org/r", "https://***@h.org/r", "https://h.org/r", ("me", "p@ss")),
    ("https://me:secret@h.org", "https://***@h.org", "https://h.org", ("me", "secret")),
    ("https://h.org/r?token=abc", "https://h.org/r?***", "https://h.org/r?token=abc", (None, None)),
    ("git://me:secret@h.org/r", "git://***@h.org/r", "git://h.org/r", ("me", "secret")),
    ("ssh://git@h.org/r", "ssh://git@h.org/r", "ssh://git@h.org/r", (None, None)),
    ("ssh://me:secret@h.org:22/r", "ssh://***@h.org:22/r", "ssh://me@h.org:22/r", (None, None)),
    ("git@h.org:org/r.git", "git@h.org:org/r.git", "git@h.org:org/r.git", (None, None)),
    ("me:secret@h.org:org/r.git", "***@h.org:org/r.git", "me@h.org:org/r.git", (None, None)),
    ("https://h.org/r@v1:x", "https://h.org/r@v1:x", "https://h.org/r@v1:x", (None, None)),
    ("/data/a:b@c/r", "/data/a:b@c/r", "/data/a:b@c/r", (None, None)),
    ("file:///data/r?x=1", "file:///data/r?x=1", "file:///data/r?x=1", (None, None)),
    ("./r", "./r", "./r", (None, None)),
]


@pytest.mark.parametrize(("text", "shown", "url", "credentials"), ADDRESSES)
def test_address_is_taken_apart(text, shown, url, credentials):
    address = parse(text)
    assert (address.shown, address.url) == (shown, url)
    assert (address.username, address.password) == credentials


@pytest.mark.parametrize(
    "said",
    [
        "fatal: Authentication failed for 'https://me:s3cr%40t@h.org/r.git/'",
        "warning: redirecting to https://me:s3cr%40t@other.org/r.git?x=s3cr@t",
        "remote: your token s3cr@t has expired",
        "remote: s3cr%40t",
        "Authorization: Basic bWU6czNjckB0",
    ],
)
def test_credentials_are_taken_out_of_what_git_says(said):
    found = parse("https://me:s3cr%40t@h.org/r.git").scrub(said)
    assert not any(secret in found for secret in ("s3cr@t", "s3cr%40t", "bWU6czNjckB0"))


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Looking in indexes: https://a:b@i.org/simple, http://c@j.org", "Looking in indexes: https://***@i.org/simple, http://***@j.org"),
        ("x git+https://t:u@h.org/r.git@v1 y", "x git+https://***@h.org/r.git@v1 y"),
        ("git+ssh://git@h.org/r.git", "git+ssh://git@h.org/r.git"),
        ("https://h.org/x.whl?sig=abc&se=1#sha256=00", "https://h.org/x.whl?***#sha256=00"),
        ("at 12:30 me@h.org wrote a:b@c", "at 12:30 me@h.org wrote a:b@c"),
        ("file:///a b://", "file:///a b://"),
        ("'http://a:b@c'\"http://d:e@f\"", "'http://***@c'\"http://***@f\""),
    ],
)  # fmt: skip
def test_credentials_are_taken_out_of_any_text(said, shown):
    assert public_text(said) == shown


@pytest.mark.parametrize("unit", ["x", "x://", "://a", "a@", "http://a:b@", "?a=b&", "a ", "x://a?"])
@pytest.mark.parametrize("function", [public_text, parse, parse("https://me:secret@h.org/r").scrub])
def test_time_grows_with_length_alone(function, unit):
    assert_linear(function, lambda length: unit * (length // len(unit)))


@pytest.mark.parametrize(
    ("parent", "url", "expected"),
    [
        ("https://h.org/o/r.git", "../lib.git", "https://h.org/o/lib.git"),
        ("https://h.org/o/r.git/", "../../p/lib", "https://h.org/p/lib"),
        ("https://h.org/o/r", "./lib", "https://h.org/o/r/lib"),
        ("git@h.org:o/r.git", "../lib.git", "git@h.org:o/lib.git"),
        ("git@h.org:r.git", "../lib.git", "git@h.org:lib.git"),
        ("/data/r", "../lib", "/data/lib"),
        ("https://me:pw@h.org/o/r", "../lib", "https://me:pw@h.org/o/lib"),
        ("https://me:pw@h.org/o/r", "https://h.org/x", "https://me:pw@h.org/x"),
        ("https://me:pw@h.org/o/r", "https://other.org/x", "https://other.org/x"),
        ("https://me:pw@h.org/o/r", "https://you:own@h.org/x", "https://you:own@h.org/x"),
        ("https://me:pw@h.org/o/r", "http://h.org/x", "http://h.org/x"),
    ],
)
def test_submodules_are_where_git_looks_and_credentials_stay_with_their_host(parent, url, expected):
    assert relative(parse(parent), url).text == expected


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("https://me:pw@h.org/o/scripts.git", "scripts"),
        ("git@h.org:scripts.git", "scripts"),
        ("/data/my scripts/.git", "my_scripts"),
        ("https://h.org/..", "repository"),
        ("https://h.org/r?token=secret", "r____"),
    ],
)
def test_folder_is_named_for_the_repository(text, name):
    assert name_of(parse(text)) == name
