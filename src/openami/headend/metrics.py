"""Figures for Prometheus, of one head-end process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from openami.fleet.ports import BatchResult
    from openami.fleet.registration import Standing

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

DeviceCounts = Callable[[], Mapping[tuple[str, str], int]]


class Metrics:
    """The figures; each instance has a registry of its own."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        self._batches = self._counter("batches", "Uploads by what became of them", "kind", "status")
        self._rows = self._counter("rows_stored", "Rows made durable", "kind")
        self._octets = self._counter("batch_octets", "Octets of uploads as they came", "kind")
        self._refusals = self._counter("refusals", "Requests refused, by error code", "code")
        self._logins = self._counter("logins", "Log-ins by outcome", "outcome")
        self._jobs = self._counter("jobs", "On-demand reads by the state they came to", "state")
        self._ssmp = self._counter("ssmp_answers", "Answers to devices that register", "answer")
        self._dm_sessions = self._counter(
            "dm_sessions", "Sessions with devices by their end", "end"
        )
        self._dm_wakes = self._counter("dm_notifications", "Notifications by outcome", "outcome")
        self._dm_waking = Gauge(
            "openami_dm_notifications_under_way",
            "Notifications that devices have not answered yet, by lane",
            ["lane"],
            registry=self.registry,
        )
        self._dm_tasks = self._counter(
            "dm_tasks",
            "Tasks of devices by kind of job and state they came to",
            "kind",
            "state",
        )
        self._dm_refused = self._counter(
            "dm_refused_values", "Wanted values that devices have refused, by status", "status"
        )
        self._campaign_reports = self._counter(
            "campaign_reports", "Reports of DCUs on upgrades by what became of them", "outcome"
        )
        self._campaign_marks = self._counter(
            "campaign_marks_refused", "What DCUs said of meters that are not theirs, or can not be"
        )
        self._downloads = self._counter(
            "downloads", "Downloads of packages by how DCUs say that they ended", "kind", "status"
        )
        self._demand_reports = self._counter(
            "demand_reports", "Reports on demand response by outcome", "outcome"
        )
        self._c1222_registrations = self._counter(
            "c1222_registrations", "Registrations of C12.22 nodes by outcome", "outcome"
        )
        self._c1222_refused = self._counter(
            "c1222_refused", "Messages of C12.22 that were not taken, by error code", "code"
        )
        self._c1222_notified = self._counter(
            "c1222_notifications", "What C12.22 nodes have told unasked"
        )
        self._c1222_visits = self._counter(
            "c1222_visits", "Reads of C12.22 meters by outcome", "outcome"
        )
        self._requests = self._counter("requests", "HTTP requests", "listener", "method", "status")
        self._groups = Histogram(
            "openami_commit_seconds", "Time of one group commit", registry=self.registry
        )
        self._group_batches = Histogram(
            "openami_commit_batches",
            "Uploads in one group commit",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=self.registry,
        )
        self._queue = Gauge(
            "openami_uploads_waiting", "Uploads being taken", registry=self.registry
        )
        self._alarms = Gauge(
            "openami_alarms_open", "Alarms that nobody has cleared", registry=self.registry
        )
        self._c1222_nodes = Gauge(
            "openami_c1222_nodes", "C12.22 nodes that are registered", registry=self.registry
        )
        self._listeners = Gauge(
            "openami_live_listeners", "Subscribers to live events", registry=self.registry
        )

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"openami_{name}", words, labels, registry=self.registry)

    def watch_queue(self, waiting: Callable[[], int]) -> None:
        """Ask ``waiting`` how many uploads there are whenever the figures are read."""
        self._queue.set_function(waiting)

    def watch_listeners(self, listeners: Callable[[], int]) -> None:
        """Ask ``listeners`` how many there are whenever the figures are read."""
        self._listeners.set_function(listeners)

    def watch_alarms(self, count: Callable[[], int]) -> None:
        """Ask ``count`` how many alarms are open whenever the figures are read."""
        self._alarms.set_function(count)

    def watch_wakes(self, lanes: Mapping[str, Callable[[], int]]) -> None:
        """Ask each lane for its notifications under way whenever the figures are read."""
        for name, count in lanes.items():
            self._dm_waking.labels(name).set_function(count)

    def watch_registrations(self, counts: Callable[[], Mapping[Standing, int]]) -> None:
        """Ask ``counts`` how many registrations stand where whenever the figures are read."""
        words = "Devices that have asked to be let in"
        self.registry.register(_Counts("registrations", words, "standing", counts))

    def watch_devices(self, counts: DeviceCounts) -> None:
        """Ask ``counts`` for the devices by kind and state whenever the figures are read."""
        self.registry.register(_Devices(counts))

    def group(self, batches: int, seconds: float) -> None:
        """Count one group commit."""
        self._groups.observe(seconds)
        self._group_batches.observe(batches)

    def batch(self, kind: str, result: BatchResult, octets: int) -> None:
        """Count one upload that was answered."""
        self._batches.labels(kind, result.status.value).inc()
        self._octets.labels(kind).inc(octets)
        if result.status.value == "stored":
            self._rows.labels(kind).inc(result.rows)

    def refused(self, code: str) -> None:
        """Count one request that was refused."""
        self._refusals.labels(code).inc()

    def login(self, outcome: str) -> None:
        """Count one log-in: ``ok``, ``wrong`` or ``throttled``."""
        self._logins.labels(outcome).inc()

    def job(self, state: str) -> None:
        """Count one on-demand read that came to ``state``."""
        self._jobs.labels(state).inc()

    def ssmp(self, answer: str) -> None:
        """Count one answer of the security server, by its kind."""
        self._ssmp.labels(answer).inc()

    def download(self, kind: str, status: str) -> None:
        """Count one file of a package of ``kind`` that a DCU is done with."""
        self._downloads.labels(kind, status).inc()

    def campaign_report(self, outcome: str) -> None:
        """Count one report on upgrades: ``taken``, ``repeated``, ``refused`` or ``stranger``."""
        self._campaign_reports.labels(outcome).inc()

    def campaign_mark_refused(self) -> None:
        """Count one mark that was passed over."""
        self._campaign_marks.inc()

    def watch_campaigns(self, counts: Callable[[], Mapping[str, int]]) -> None:
        """Ask ``counts`` how many campaigns are in each state whenever the figures are read."""
        self.registry.register(_Counts("campaigns", "Campaigns by state", "state", counts))

    def demand_reports(self, outcome: str, count: int) -> None:
        """Count reports on demand response: ``taken`` or ``stranger``."""
        self._demand_reports.labels(outcome).inc(count)

    def dm_session(self, end: str) -> None:
        """Count one session with a device, by how it ended."""
        self._dm_sessions.labels(end).inc()

    def dm_wake(self, outcome: str) -> None:
        """Count one notification by its ``Outcome``."""
        self._dm_wakes.labels(outcome).inc()

    def dm_task(self, kind: str, state: str, count: int = 1) -> None:
        """Count tasks of one kind of job that came to a state."""
        self._dm_tasks.labels(kind, state).inc(count)

    def dm_refused(self, status: int) -> None:
        """Count one wanted value that a device has refused."""
        self._dm_refused.labels(f"{status // 100}xx").inc()

    def c1222_registration(self, outcome: str) -> None:
        """Count one registration: ``joined``, ``left``, ``expired`` or ``denied``."""
        self._c1222_registrations.labels(outcome).inc()

    def c1222_refused(self, code: str) -> None:
        """Count one message that was not taken, by its error code."""
        self._c1222_refused.labels(code).inc()

    def c1222_notified(self) -> None:
        """Count one notification of a node."""
        self._c1222_notified.inc()

    def c1222_visit(self, outcome: str) -> None:
        """Count one read of a meter: ``ok``, or the error's code."""
        self._c1222_visits.labels(outcome).inc()

    def watch_c1222(self, count: Callable[[], int]) -> None:
        """Ask ``count`` how many nodes are registered whenever the figures are read."""
        self._c1222_nodes.set_function(count)

    def request(self, listener: str, method: str, status: int) -> None:
        """Count one answered HTTP request."""
        self._requests.labels(listener, method, str(status)).inc()

    def exposition(self) -> bytes:
        """Return the figures in Prometheus' text format."""
        return generate_latest(self.registry)


class _Devices:
    """Devices by kind and state, counted when asked."""

    def __init__(self, counts: DeviceCounts) -> None:
        self._counts = counts

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "openami_devices", "Devices of the registry", labels=["kind", "state"]
        )
        for (kind, state), count in self._counts().items():
            family.add_metric([kind, state], count)
        yield family


class _Counts:
    """How many things there are by one label, counted when asked."""

    def __init__(
        self, name: str, words: str, label: str, counts: Callable[[], Mapping[Any, int]]
    ) -> None:
        self._said = (f"openami_{name}", words)
        self._label, self._counts = label, counts

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(*self._said, labels=[self._label])
        for value, count in self._counts().items():
            family.add_metric([value], count)
        yield family
