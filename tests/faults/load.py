"""Many clients at once ask for what is right and what is wrong, beside scripts that run; nothing gets stuck or lost."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import httpx

from tests.conftest import DEADLINE, TOKEN
from tests.faults.outcome import Outcome
from tests.faults.stand import COUNTING, Stand, data, numbers, stand

_SCRIPTS = {
    "counting": COUNTING,
    "short": "def init(subarray_id): pass\ndef main(*args): print('done')\n",
    "failing": "def init(subarray_id): pass\ndef main(*args): 1 / 0\n",
    "broken": "def init(subarray_id): (\n",
    "waiting": """
import time
from oet_kernel.api import checkpoint
def init(subarray_id): pass
def main(*args):
    while True:
        checkpoint("here")
        time.sleep(0.01)
""",
}
_FINAL = {"COMPLETE", "FAILED", "STOPPED", "UNKNOWN"}
_RATE = 20
"""Events a second of each script that runs beside the clients."""
_MOST_ACTIVE = 40
"""Procedures of the clients that live at once: more would measure the machine's memory."""


def load(trials: int, seed: int, clients: int = 50, scripts: int = 20) -> Outcome:
    """Have clients send random commands, so many each, and then see what became of everything."""
    outcome = Outcome("load", seed)
    with stand() as site:
        site.start()
        for name, text in _SCRIPTS.items():
            (site.folder / f"{name}.py").write_text(text)
        running = [site.create(COUNTING, number) for number in range(1, scripts + 1)]
        for pid in running:
            site.server.until(pid, "READY")
            site.run(pid, 0, _RATE)
        asyncio.run(_Crowd(site, outcome, Random(seed)).work(clients, trials))
        _look_back(site, outcome, running)
    return outcome


class _Crowd:
    """The clients, and what they know in common: the procedures that they have made."""

    def __init__(self, site: Stand, outcome: Outcome, random: Random) -> None:
        self._site = site
        self._outcome = outcome
        self._random = random
        self._mine: list[int] = []
        self._statuses: Counter[int] = Counter()
        self._subarray = 1000
        self._http: httpx.AsyncClient

    async def work(self, clients: int, requests: int) -> None:
        began = time.monotonic()
        limits = httpx.Limits(max_connections=clients)
        headers = {"Authorization": f"token {TOKEN}"}
        async with httpx.AsyncClient(
            base_url=self._site.server.url, headers=headers, timeout=2 * DEADLINE, limits=limits
        ) as self._http:
            await asyncio.gather(*(self._client(requests) for _ in range(clients)))
        self._outcome.notes["requests a second"] = round(self._outcome.trials / (time.monotonic() - began), 1)
        for status, times in sorted(self._statuses.items()):
            self._outcome.notes[f"answers {status}"] = times

    async def _client(self, requests: int) -> None:
        actions: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self._look, 30),
            (self._create, 12),
            (self._start, 18),
            (self._pause, 12),
            (self._stop, 14),
            (self._listen, 4),
            (self._nonsense, 30),
        ]
        for _ in range(requests):
            (action,) = self._random.choices([one for one, _ in actions], [often for _, often in actions])
            await action()

    async def _ask(self, what: str, method: str, path: str, **words: Any) -> httpx.Response:
        """Send a request; no answer may blame the service, and each must come."""
        began = time.monotonic()
        try:
            reply = await self._http.request(method, path, **words)
        except httpx.HTTPError as error:
            self._outcome.wrong(f"{what}: {method} {path} has no answer: {error!r}")
            return httpx.Response(599)
        self._outcome.trials += 1
        self._outcome.most(f"{what}, slowest in s", round(time.monotonic() - began, 2))
        self._statuses[reply.status_code] += 1
        self._outcome.check(
            reply.status_code < 500, f"{what}: {method} {path} was answered {reply.status_code} {reply.text[:200]}"
        )
        return reply

    def _any(self) -> int:
        return self._random.choice([*self._mine[-30:], self._random.randrange(1, 9000)])

    async def _look(self) -> None:
        pid = self._any()
        paths = (
            "/procedures",
            f"/procedures/{pid}",
            f"/procedures/{pid}/events?after=0&limit=100",
            f"/procedures/{pid}/record",
            f"/procedures/{pid}/kernel",
            "/archive?limit=50",
            "/health",
            "/scripts",
            f"/scripts/schema?uri={(self._site.folder / 'counting.py').as_uri()}",
        )
        await self._ask("look", "GET", self._random.choice(paths))

    async def _create(self) -> None:
        if len(self._mine) >= _MOST_ACTIVE:
            await self._stop()
            return
        name = self._random.choice([*_SCRIPTS, "waiting", "not-there"])
        self._subarray += 1
        body = {
            "script": {"script_type": "filesystem", "script_uri": (self._site.folder / f"{name}.py").as_uri()},
            "script_args": {"init": {"kwargs": {"subarray_id": self._subarray}}},
        }
        reply = await self._ask("create", "POST", "/procedures", json=body)
        if reply.status_code == 201:
            self._mine.append(int(reply.json()["procedure"]["id"]))

    async def _start(self) -> None:
        body = {"state": "RUNNING", "script_args": {"main": {"args": [0, _RATE]}}}
        await self._ask("start", "PUT", f"/procedures/{self._any()}", json=body)

    async def _pause(self) -> None:
        command = self._random.choice(("pause", "resume"))
        await self._ask(command, "POST", f"/procedures/{self._any()}/{command}", json={})

    async def _stop(self) -> None:
        if not self._mine:
            return
        pid = self._mine.pop(self._random.randrange(len(self._mine)))
        await self._ask("stop", "PUT", f"/procedures/{pid}", json={"state": "STOPPED", "abort": False})
        reply = await self._ask("look", "GET", f"/procedures/{pid}")
        if reply.status_code != 404:  # the service's memory of those that have ended is short; the archive's is not
            state = reply.json()["procedure"]["state"]
            self._outcome.check(state in _FINAL, f"stop: procedure {pid} is {state} after its stop was answered")

    async def _listen(self) -> None:
        """Hear a little of the stream, and go in the middle of it."""
        self._outcome.trials += 1
        try:
            async with self._http.stream("GET", "/stream?after=0") as reply:
                self._statuses[reply.status_code] += 1
                async for _ in reply.aiter_bytes(1 << 16):
                    break
        except httpx.HTTPError as error:
            self._outcome.wrong(f"listen: {error!r}")

    async def _nonsense(self) -> None:
        pid = self._any()
        deep = b"[" * 5000 + b"]" * 5000
        asked: tuple[tuple[str, str, dict[str, Any]], ...] = (
            ("POST", "/procedures", {"content": b"{"}),
            ("POST", "/procedures", {"content": deep}),
            ("POST", "/procedures", {"json": {"script": {"script_type": "filesystem", "script_uri": 7}}}),
            ("POST", "/procedures", {"content": b"x" * (2 << 20)}),
            ("POST", "/procedures", {"json": {"script": {"script_type": "git", "script_uri": "git:///x.py"}}}),
            ("PUT", f"/procedures/{pid}", {"json": {"state": "FLYING"}}),
            ("PUT", f"/procedures/{pid}", {"content": b""}),
            ("PUT", "/procedures/-1", {"json": {"state": "RUNNING"}}),
            ("PUT", f"/procedures/{10**30}", {"json": {"state": "RUNNING"}}),
            ("POST", f"/procedures/{pid}/pause", {"json": {"at": "*" * 600}}),
            ("POST", f"/procedures/{pid}/pause", {"json": [[[]]]}),
            ("GET", "/archive?limit=-5", {}),
            ("GET", "/archive?state=" + "A" * 3000, {}),
            ("GET", f"/procedures/{pid}/events?after=x", {}),
            ("GET", f"/procedures/{pid}/record?format=exe", {}),
            ("GET", "/scripts/schema?uri=file:///etc/passwd%00", {}),
            ("DELETE", f"/procedures/{pid}", {}),
            ("PATCH", "/health", {}),
            ("POST", "/activities", {"json": {"activity_name": "../x", "sbd_id": "y"}}),
            ("GET", "/../../etc/passwd", {}),
        )
        method, path, words = self._random.choice(asked)
        reply = await self._ask("nonsense", method, path, **words)
        self._outcome.check(
            reply.status_code >= 400, f"nonsense: {method} {path[:80]} was answered {reply.status_code}"
        )


def _look_back(site: Stand, outcome: Outcome, running: list[int]) -> None:
    """Stop what is left, and see that it is gone, that nothing is lost, and that the next service has it all."""
    for one in site.archive():
        if one["state"] not in _FINAL:
            began = time.monotonic()
            reply = site.stop(one["id"])
            outcome.most("stop at the end, slowest in s", round(time.monotonic() - began, 2))
            state = site.describe(one["id"])["state"]
            outcome.check(
                state == "STOPPED" or one["id"] not in running, f"{one['id']} is {state} after its stop: {reply.text}"
            )
    before = {one["id"]: one["state"] for one in site.archive()}
    stuck = {pid: state for pid, state in before.items() if state not in _FINAL}
    outcome.check(not stuck, f"stuck: {stuck}")
    health = site.server.http.get("/health").json()
    outcome.check(not health.get("faults"), f"faults of the service: {health.get('faults')}")
    site.restart()
    after = {one["id"]: one["state"] for one in site.archive()}
    outcome.check(after == before, "the next service has other procedures, or other states")
    for pid in running:
        counted = numbers(data(site.events(pid, "user.count")))
        outcome.compare(f"procedure {pid}", range(max(counted, default=-1) + 1), counted)
