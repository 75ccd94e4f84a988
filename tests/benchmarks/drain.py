"""Listeners in a process of their own: reads many event streams, or one IOPub socket, and says when the last was full.

``python -m tests.benchmarks.drain MARK COUNT sse URL TOKEN LISTENERS`` or ``... MARK COUNT iopub CONNECTION_FILE``:
each listener waits for COUNT times MARK. Prints ``ready`` once it listens, then a JSON object: when the last had all
(monotonic clock), and the delays of events that say when they were sent.
"""

import json
import selectors
import socket
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import zmq


def streams(mark: bytes, count: int, url: str, token: str, listeners: int) -> dict[str, object]:
    """Read event streams until each has had all; fails if one ends before."""
    parts = urlsplit(url)
    selector = selectors.DefaultSelector()
    for _ in range(listeners):
        connection = socket.create_connection((parts.hostname or "", parts.port or 80), timeout=30)
        request = f"GET {parts.path}?{parts.query} HTTP/1.0\r\nHost: {parts.netloc}\r\nAuthorization: token {token}\r\n"
        connection.sendall(request.encode() + b"\r\n")
        while b"\r\n\r\n" not in connection.recv(4096):
            pass
        selector.register(connection, selectors.EVENT_READ, [0, b""])
    print("ready", flush=True)
    delays: list[float] = []
    waiting = listeners
    while waiting:
        for key, _ in selector.select(60):
            chunk = key.fileobj.recv(1 << 18)  # type: ignore[union-attr]
            now = time.monotonic()
            state = key.data
            if not chunk:
                raise SystemExit(f"a stream has ended after {state[0]} of {count}")
            data = state[1] + chunk
            whole, _, state[1] = data.rpartition(b"\n\n")
            state[0] += whole.count(mark)
            if listeners == 1:
                delays += [now - float(piece[: piece.index(b"}")]) for piece in whole.split(b'"sent":')[1:]]
            if state[0] >= count:
                selector.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]
                waiting -= 1
                ended = now
    return {"ended": ended, "delays": delays}


def iopub(mark: bytes, count: int, file: str) -> dict[str, object]:
    """Read a kernel's IOPub socket, as a client without any service does."""
    connection = json.loads(Path(file).read_text())
    context = zmq.Context()
    subscriber = context.socket(zmq.SUB)
    subscriber.rcvhwm = 0
    subscriber.subscribe(b"")
    subscriber.connect(f"ipc://{connection['ip']}-{connection['iopub_port']}")
    subscriber.recv_multipart()  # the welcome
    print("ready", flush=True)
    seen, delays = 0, []
    while seen < count:
        content = subscriber.recv_multipart()[-1]
        now = time.monotonic()
        if found := content.count(mark):
            seen += found
            if b'"sent"' in content:
                delays.append(now - float(content.split(b'"sent":')[1].strip(b" }")))
    context.destroy(linger=0)
    return {"ended": now, "delays": delays}


def main() -> None:
    """Do what the command line says."""
    mark, count, kind, *words = sys.argv[1:]
    if kind == "sse":
        result = streams(mark.encode(), int(count), words[0], words[1], int(words[2]))
    else:
        result = iopub(mark.encode(), int(count), words[0])
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
