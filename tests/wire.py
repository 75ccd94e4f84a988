"""Requests and scripts for the tests of the wire."""

NOTHING = "def main(*args, **kwargs): pass\n"
SPEAK = "from oet_kernel.api import publish\ndef init(): publish('user.script.announce', msg='hi')\n"
FOREVER = "import time\ndef init(**kwargs): pass\ndef main(**kwargs): time.sleep(1000)\n"


def procedure(server, pid):
    return server.http.get(f"/procedures/{pid}").json()["procedure"]


def start(server, pid, **calls):
    body = {"state": "RUNNING", "script_args": calls or {"main": {"args": [], "kwargs": {}}}}
    return server.http.put(f"/procedures/{pid}", json=body)


def stop(server, pid, abort=False):
    return server.http.put(f"/procedures/{pid}", json={"state": "STOPPED", "abort": abort})


def states(one):
    return [state for state, _ in one["history"]["process_states"]]
