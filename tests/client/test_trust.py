"""Services with certificates: of a private authority, expired, another host's; TLS where there is none."""

import asyncio
import contextlib
import datetime
import socket
import ssl
import subprocess
import sys
import threading

import pytest
import trustme

from oet_kernel.client import AsyncClient, Client, ClientError, ConnectionFailed, TlsFailed
from oet_kernel.client._address import find_address
from oet_kernel.state.discovery import announce, withdraw
from tests.conftest import serve

VARIABLES = ("OET_CA", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\n{"status":"ok"}'


@pytest.fixture(autouse=True)
def no_trust(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def ca(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@contextlib.contextmanager
def answering(reply=OK, certificate=None):
    """Answer every connection so, by TLS where there is a certificate; gives an address without TLS."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)

    def serve_all():
        with contextlib.suppress(OSError):
            while True:
                connection = listener.accept()[0]
                with contextlib.suppress(OSError), connection:
                    connection.settimeout(20)
                    stream = context.wrap_socket(connection, server_side=True) if context else connection
                    with stream:
                        stream.recv(65536)
                        stream.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve_all)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1.0"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def of_https(url):
    return url.replace("http://", "https://")


def ask(kind, url, **options):
    if kind == "sync":
        with Client(url, "t", **options) as client:
            return client.health()

    async def health():
        async with AsyncClient(url, "t", **options) as client:
            return await client.health()

    return asyncio.run(health())


def listen(kind, url, **options):
    if kind == "sync":
        with Client(url, "t", **options) as client, client.events():
            return None

    async def events():
        async with AsyncClient(url, "t", **options) as client, client.events():
            pass

    return asyncio.run(events())


YESTERDAY = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
TOMORROW = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
FAULTS = {
    "untrusted": (lambda ca: trustme.CA().issue_cert("127.0.0.1"), ["is not trusted", "--ca, OET_CA or SSL_CERT_FILE"]),
    "expired": (lambda ca: ca.issue_cert("127.0.0.1", not_after=YESTERDAY), ["has expired", "must be renewed"]),
    "not yet valid": (lambda ca: ca.issue_cert("127.0.0.1", not_before=TOMORROW), ["not valid yet", "clock"]),
    "of another address": (lambda ca: ca.issue_cert("10.1.2.3"), ["another host's", "127.0.0.1", "use the name"]),
    "of another name": (lambda ca: ca.issue_cert("telescope.example"), ["another host's", "use the name"]),
}


@pytest.mark.parametrize("asking", [ask, listen])
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("fault", FAULTS)
def test_certificate_that_is_not_accepted_is_told_from_an_absent_service(authority, ca, kind, fault, asking):
    make, told = FAULTS[fault]
    with answering(certificate=make(authority)) as url:
        with pytest.raises(TlsFailed) as failed:
            asking(kind, of_https(url), ca=ca)
        assert of_https(url) in str(failed.value)
    for one in told:
        assert one in str(failed.value)
    assert "No service answers" not in str(failed.value)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_own_authority_is_named_by_an_argument_or_the_environment(authority, ca, kind, monkeypatch, tmp_path):
    with answering(certificate=authority.issue_cert("127.0.0.1", "localhost")) as url:
        for host in ("127.0.0.1", "localhost"):
            assert ask(kind, of_https(url).replace("127.0.0.1", host), ca=ca) == {"status": "ok"}
        for name in set(VARIABLES) - {"SSL_CERT_DIR"}:
            with monkeypatch.context() as patch:
                patch.setenv(name, str(ca))
                assert ask(kind, of_https(url)) == {"status": "ok"}
        with monkeypatch.context() as patch:  # as c_rehash makes a folder
            hashed = ["openssl", "x509", "-hash", "-noout", "-in", str(ca)]
            name = subprocess.run(hashed, check=True, capture_output=True, text=True).stdout.strip()
            (tmp_path / f"{name}.0").write_bytes(ca.read_bytes())
            patch.setenv("SSL_CERT_DIR", str(tmp_path))
            assert ask(kind, of_https(url)) == {"status": "ok"}
            patch.delenv("SSL_CERT_DIR")
            assert ask(kind, of_https(url), ca=tmp_path) == {"status": "ok"}
        with monkeypatch.context() as patch:  # the argument counts, and nothing else
            patch.setenv("SSL_CERT_FILE", str(ca))
            other = tmp_path / "other.pem"
            trustme.CA().cert_pem.write_to_path(other)
            with pytest.raises(TlsFailed, match="is not trusted"):
                ask(kind, of_https(url), ca=other)
        with pytest.raises(TlsFailed, match="is not trusted"):
            ask(kind, of_https(url))


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("asking", [ask, listen])
def test_https_where_no_tls_is_spoken_and_http_where_it_is(authority, ca, kind, asking):
    with answering() as url, pytest.raises(TlsFailed, match=f"Nothing at {of_https(url)} speaks TLS.*http://"):
        asking(kind, of_https(url))
    with answering(b"") as url, pytest.raises(TlsFailed, match="speaks TLS"):
        asking(kind, of_https(url))
    certificate = authority.issue_cert("127.0.0.1")
    with (
        answering(certificate=certificate) as url,
        pytest.raises(ConnectionFailed, match=r"ended the connection without an answer.*write https://"),
    ):
        asking(kind, url)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_service_that_says_nothing_and_addresses_that_are_none(kind):
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(ConnectionFailed, match="has not answered in time"),
    ):
        ask(kind, f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.1)
    for url in ("telescope:5000/api/v1.0", "ftp://localhost/", "http://[::1", "http://a:b/"):
        with pytest.raises(ConnectionFailed, match="not a valid address"):
            ask(kind, url)


@pytest.mark.parametrize("name", ["ca", *VARIABLES])
def test_authority_that_cannot_be_read_is_an_error_that_names_it(name, tmp_path, monkeypatch):
    (tmp_path / "empty.pem").write_text("no certificate")
    for file, told in (("missing.pem", "cannot be read: No such file"), ("empty.pem", "holds no certificate")):
        path = str(tmp_path / file)
        options = {"ca": path} if name == "ca" else {}
        if not options:
            monkeypatch.setenv(name, path)
        with pytest.raises(ClientError, match=f"{file}.*{told}"):
            ask("sync", "https://127.0.0.1:9/", **options)


def test_variables_of_others_do_not_matter_where_there_is_no_certificate(monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/missing.pem")
    with answering() as url:
        assert ask("sync", url) == {"status": "ok"}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_token_is_found_for_every_name_of_this_machine(scheme, monkeypatch, tmp_path):
    monkeypatch.setenv("OET_RUNTIME_DIR", str(tmp_path))
    path = announce(f"{scheme}://localhost:5000/api/v1.0", "secret", str(tmp_path))
    assert find_address(f"{scheme}://127.0.0.1:5000/api/v1.0", None).token == "secret"
    withdraw(path)


def test_commands_talk_to_a_service_with_a_certificate(authority, ca, tmp_path, monkeypatch):
    chain = authority.issue_cert("localhost", "127.0.0.1")
    chain.private_key_pem.write_to_path(tmp_path / "key.pem")
    chain.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    (tmp_path / "script.py").write_text("def main(): print('said')\n")
    options = [f"--ServerApp.{kind}file={tmp_path / kind}.pem" for kind in ("cert", "key")]
    monkeypatch.setenv("OET_RUNTIME_DIR", str(tmp_path / "runtime"))
    with serve(tmp_path, *options) as service:
        assert service.url.startswith("https://")

        def oet(*words, **environment):
            for name, value in environment.items():
                monkeypatch.setenv(name, str(value))
            argv = [sys.executable, "-m", "oet_kernel.cli.entry", *words]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
            for name in environment:
                monkeypatch.delenv(name)
            return done

        ran = oet("run", "--ca", str(ca), str(tmp_path / "script.py"))
        assert (ran.returncode, "said\n" in ran.stdout) == (0, True), ran.stderr
        assert oet("--ca", str(ca), "procedure", "list").returncode == 0
        assert oet("procedure", "list", OET_CA=ca).returncode == 0
        assert oet("list", OET_URL=service.url, SSL_CERT_FILE=ca).returncode == 0
        untrusted = oet("list")
        assert (untrusted.returncode, untrusted.stdout) == (1, "")
        assert "is not trusted" in untrusted.stderr
        assert "--ca" in untrusted.stderr
