"""What a terminal does with a procedure that it follows."""

import signal

from oet_kernel.cli.terminal import stop_on_interrupt
from oet_kernel.client import Client


def test_stop_arrives_though_the_followers_connections_are_closed_at_once(server, capfd):
    """As by a second Ctrl-C that comes before the stop has been sent."""
    pid = server.create("import time\ndef main(): time.sleep(1000)")
    server.until(pid, "READY")
    with Client(server.url, server.token) as client, stop_on_interrupt(client, pid, abort=False):
        signal.raise_signal(signal.SIGINT)
        client.close()
    assert server.until(pid)["state"] == "STOPPED"
    assert f"stopping procedure {pid}" in capfd.readouterr().err
