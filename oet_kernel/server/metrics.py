"""Metrics of the service for Prometheus, on Jupyter Server's own ``/metrics``."""

from collections.abc import Iterator

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from oet_kernel.events.bus import EventBus
from oet_kernel.models import ProcedureState
from oet_kernel.service.registry import Registry
from oet_kernel.store.journal import Journal
from oet_kernel.system.supervision import faults


class Metrics(Collector):
    """Collect the metrics of one service at each request.

    Parameters
    ----------
    registry, bus, journal
        Components that are measured.
    """

    def __init__(self, registry: Registry, bus: EventBus, journal: Journal) -> None:
        self._registry = registry
        self._bus = bus
        self._journal = journal
        self._registered = False

    def register(self) -> None:
        """Register the metrics for ``/metrics``; there is one service in a process."""
        REGISTRY.register(self)
        self._registered = True

    def unregister(self) -> None:
        """Unregister the metrics; no-op if they are not registered."""
        if self._registered:
            REGISTRY.unregister(self)
            self._registered = False

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Return the present values."""
        procedures = GaugeMetricFamily("oet_procedures", "Listed procedures, by state", labels=["state"])
        counts = self._registry.count_states()
        for state in ProcedureState:
            procedures.add_metric([state.name], counts[state])
        yield procedures
        yield GaugeMetricFamily("oet_listeners", "Connections to the event stream", value=self._bus.listeners)
        yield CounterMetricFamily("oet_events", "Events since the state folder was made", value=self._bus.last_seq)
        aside = CounterMetricFamily(
            "oet_set_aside", "Data that could not be processed and was set aside", labels=["kind"]
        )
        for kind, count in self._journal.set_aside.counts.items():
            aside.add_metric([kind], count)
        yield aside
        yield CounterMetricFamily("oet_faults", "Exceptions that were not expected", value=faults.total())
        trouble = self._journal.trouble is not None
        yield GaugeMetricFamily("oet_writable", "1 while events can be written down, else 0", value=not trouble)
