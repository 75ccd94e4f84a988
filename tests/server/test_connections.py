"""How many connections the service takes, from one address and in all, and which one goes where there are too many."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
from tornado import web
from tornado.netutil import bind_sockets

from oet_kernel.server import admission
from oet_kernel.server.admission import Admission, BoundedServer

pytestmark = pytest.mark.anyio
OK = "HTTP/1.1 200 OK"


class _Asked(web.RequestHandler):
    """Answers what it is asked for; tells when a listener's connection is gone."""

    async def get(self, what):
        await self.settings[what](self)

    def on_connection_close(self):
        self.settings["gone"].set()


@asynccontextmanager
async def bounded(kind=BoundedServer, **settings):
    """A server of one handler, whose requests for `/x` the setting `x` answers."""

    async def quick(handler):
        handler.write("here")

    settings = {"quick": quick, "gone": asyncio.Event(), **settings}
    server = kind(web.Application([("/(.*)", _Asked)], **settings))
    server.admission = Admission(is_api=lambda path: True)
    (listening,) = bind_sockets(0, "127.0.0.1")
    server.add_sockets([listening])
    server.port = listening.getsockname()[1]
    yield server
    server.stop()
    await server.close_all_connections()


class Caller:
    """A connection to it from one address of this machine."""

    @classmethod
    async def come(cls, server, address="127.0.0.1", receive_bytes=None):
        self = cls()
        end = socket.socket()
        end.setblocking(False)
        if receive_bytes:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        end.bind((address, 0))
        await asyncio.get_running_loop().sock_connect(end, ("127.0.0.1", server.port))
        self.reader, self.writer = await asyncio.open_connection(sock=end)
        return self

    def ask(self, path):
        self.writer.write(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    async def answer(self):
        """The first line of a reply, all of which is read; empty where the connection was closed."""
        async with asyncio.timeout(60):
            try:
                head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
                await self.reader.readexactly(int(head.partition("Content-Length: ")[2].split()[0]))
            except (ConnectionError, asyncio.IncompleteReadError):
                return ""
            return head.partition("\r\n")[0]

    async def get(self, path="quick"):
        self.ask(path)
        return await self.answer()


async def test_one_address_has_no_more_than_its_connections_and_takes_none_of_others():
    async with bounded() as server:
        server.most_of_address = 3
        others = [await Caller.come(server, "127.0.0.2") for _ in range(3)]
        mine = [await Caller.come(server) for _ in range(3)]
        assert [await one.get() for one in [*others, *mine[1:]]] == [OK] * 5
        assert await (await Caller.come(server)).get() == OK
        assert await mine[0].answer() == "", "it had never asked"
        assert await (await Caller.come(server)).get() == OK
        assert await others[0].get() == OK, "those of another address are left"


async def test_all_addresses_share_what_there_is():
    async with bounded() as server:
        server.most = 4
        callers = [await Caller.come(server, f"127.0.0.{last}") for last in range(1, 5)]
        assert [await one.get() for one in callers] == [OK] * 4
        assert await (await Caller.come(server, "127.0.0.9")).get() == OK
        assert await callers[1].get() == OK, "the one that has waited longest went, and no other"


async def test_newcomer_is_sent_away_where_all_requests_are_young(caplog):
    asked, answer = asyncio.Queue(), asyncio.Event()

    async def wait(handler):
        asked.put_nowait(1)
        await answer.wait()

    async with bounded(wait=wait) as server:
        server.most_of_address = 2
        working = [await Caller.come(server) for _ in range(2)]
        for one in working:
            one.ask("wait")
            await asked.get()
        assert await (await Caller.come(server)).get() == ""
        assert "one is refused" in caplog.text
        answer.set()
        assert [await one.answer() for one in working] == [OK] * 2


async def test_oldest_listener_makes_room_where_all_are_at_work(monkeypatch):
    """A stop comes through, however many listen; a listener comes back for the rest."""
    monkeypatch.setattr(admission, "YOUNG_SECONDS", 0)
    asked, gone = asyncio.Queue(), asyncio.Event()

    async def listen(handler):
        await handler.flush()
        asked.put_nowait(1)
        await gone.wait()

    async with bounded(listen=listen, gone=gone) as server:
        server.most = 2
        working = [await Caller.come(server) for _ in range(2)]
        for one in working:
            one.ask("listen")
            await asked.get()
        assert await (await Caller.come(server)).get() == OK
        async with asyncio.timeout(60):
            assert b"200 OK" in await working[0].reader.read(), "which has ended"


async def test_connection_is_closed_that_does_not_read_its_reply(monkeypatch):
    monkeypatch.setattr(admission, "SEND_SECONDS", 0.3)
    closed = asyncio.Event()

    class Server(BoundedServer):
        def on_close(self, server_conn):
            super().on_close(server_conn)
            closed.set()

    async def page(handler):
        handler.write(b"x" * (8 << 20))

    async with bounded(Server, page=page) as server:
        slow, quick = await Caller.come(server, receive_bytes=4096), await Caller.come(server)
        slow.writer.transport.pause_reading()
        slow.ask("page")
        async with asyncio.timeout(60):
            await closed.wait()
        assert len(server._connections) == 1
        assert await quick.get("page") == OK
