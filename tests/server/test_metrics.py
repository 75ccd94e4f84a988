"""Whatever watches everything else can watch the service: its figures on /metrics, its log."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Listener, serve


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A service that logs what happens, in which one procedure has failed and one waits."""
    with serve(tmp_path_factory.mktemp("metrics"), "--log-level=INFO") as server:
        failed = server.create("def main(): raise ValueError('no beam')\n")
        server.until(failed, "READY")
        server.http.put(f"/procedures/{failed}", json={"state": "RUNNING"})
        server.until(failed)
        ready = server.create("def main(): pass\n")
        server.until(ready, "READY")
        yield server, failed


def test_figures_are_those_of_the_service(served):
    server, _ = served
    with Listener(server):
        text = server.http.get(server.url.replace("/api/v1.0", "/metrics")).text
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("oet_")
    }
    assert values["oet_procedures", "FAILED"] == values["oet_procedures", "READY"] == 1
    assert values["oet_procedures", "RUNNING"] == 0
    assert values[("oet_events_total",)] >= 10
    assert values[("oet_faults_total",)] == 0
    assert values[("oet_listeners",)] >= 1
    assert values[("oet_writable",)] == 1


def test_figures_are_told_to_nobody_without_the_token(served):
    server, _ = served
    url = server.url.replace("/api/v1.0", "/metrics")
    assert server.http.get(url, headers={"Authorization": "token wrong"}).status_code == 403


def test_log_names_each_state_of_a_procedure_and_why_it_has_failed(served):
    server, pid = served
    lines = (server.folder / "server.log").read_text().splitlines()
    told = [line for line in lines if f"Procedure {pid}, file:///" in line]
    states = [line.rsplit(" is ", 1)[1] for line in told]
    assert states[-1] == "FAILED: ValueError: no beam"
    assert states.index("READY") < states.index("RUNNING")
    assert all(line.startswith("[I ") for line in told)
