"""Prometheus metrics of a site: its own requests, and what the rooms behind it know.

Each series is told by one site only, so that whoever scrapes all sites of a realm counts nothing twice.

A room gives `Reading`s: a name, a meaning and how to read the value. What is unknown is left out, never told as 0
(law 7). Labels have few values: never an id, a file name or a raw path.
"""

from __future__ import annotations

import asyncio
import logging
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from core.errors import RealmError

logger = logging.getLogger(__name__)

CONTENT_TYPE = CONTENT_TYPE_LATEST
Value = float | None | Mapping[str, float | None]

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds; a page that takes longer than the last is lost for its viewer anyway."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
HTTP_REQUESTS = (
    "realm_http_requests_total",
    "Answered HTTP requests; `route` is the template, or `unmatched`.",
    ("site", "route", "method", "status"),
)
HTTP_SECONDS = (
    "realm_http_request_duration_seconds",
    "Time from a request to its answer; event streams, which stay open, are not in it.",
    ("site", "route", "method"),
)
BUILD = ("realm_build", "Version of the realm and of Python; always 1.", ("version", "python"))


class Described(NamedTuple):
    """A metric as the reference lists it."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """One metric of a room."""

    name: str
    help: str
    read: Callable[[], Value]
    """The value now; None when it is unknown. With a label: the values by the label's value."""
    kind: str = field(default="gauge", kw_only=True)
    """`gauge` or `counter`; a counter's name ends in `_total`."""
    label: str | None = field(default=None, kw_only=True)
    seconds: float | None = field(default=None, kw_only=True)
    """None: read in the event loop, for values that lie in memory. A number: read in a thread, as it asks the disk or
    the system, and not again before so many seconds have passed."""


class Meters:
    """The registry of one site, which counts its requests into it; `text` gives the body of `/metrics`."""

    def __init__(
        self, readings: Iterable[Reading] = (), *, version: str = "unknown", with_process: bool = False
    ) -> None:
        """`with_process` adds the `process_*` metrics; of the sites of one process, one tells them."""
        # The time a series was created is no fact of the realm, and doubles the number of series.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._requests = Counter(*HTTP_REQUESTS, registry=self.registry)
        self._seconds = Histogram(*HTTP_SECONDS, buckets=BUCKETS, registry=self.registry)
        Info(*BUILD[:2], registry=self.registry).info({"version": version, "python": platform.python_version()})
        if with_process:
            ProcessCollector(registry=self.registry)
        self._asking = asyncio.Lock()
        self._readings = _Readings(tuple(readings))
        self.registry.register(self._readings)

    def count_request(self, site: str, request: web.Request, response: web.StreamResponse, seconds: float) -> None:
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "unmatched"
        method = request.method if request.method in METHODS else "other"
        self._requests.labels(site, route, method, response.status).inc()
        # Only a stream is a bare StreamResponse: everything else has an end by itself.
        if type(response) is not web.StreamResponse:
            self._seconds.labels(site, route, method).observe(seconds)

    def described(self) -> list[Described]:
        """Every metric of ours, whether it is known now or not."""
        name, text, labels = BUILD
        return [
            Described(HTTP_REQUESTS[0], "counter", *HTTP_REQUESTS[1:]),
            Described(HTTP_SECONDS[0], "histogram", *HTTP_SECONDS[1:]),
            Described(f"{name}_info", "gauge", text, labels),
            *self._readings.described(),
        ]

    async def text(self) -> bytes:
        """All metrics in Prometheus' text format, to be sent as `CONTENT_TYPE`."""
        # One scrape at a time: the next finds what this one has read.
        async with self._asking:
            await asyncio.to_thread(self._readings.ask_system)
        return generate_latest(self.registry)


def counting(meters: Meters, site: str) -> Middleware:
    """The middleware that counts what a site answers; it stands before all others, so that refusals count too."""

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        response = await handler(request)
        meters.count_request(site, request, response, time.perf_counter() - started)
        return response

    return count


class _Readings(Collector):
    """Gives the registry what the rooms know at the moment."""

    def __init__(self, readings: tuple[Reading, ...]) -> None:
        self._readings = readings
        self._asked: dict[str, tuple[float, Value]] = {}
        """Of each reading that asks the system: when it was read (monotonic), and what it said."""

    def ask_system(self) -> None:
        """Read what is not in memory, as far as it is out of date; blocks."""
        for reading in self._readings:
            if reading.seconds is None:
                continue
            now = time.monotonic()
            if reading.name not in self._asked or now - self._asked[reading.name][0] >= reading.seconds:
                self._asked[reading.name] = (now, _read_or_none(reading))

    def described(self) -> list[Described]:
        return [
            Described(reading.name, reading.kind, reading.help, (reading.label,) if reading.label else ())
            for reading in self._readings
        ]

    def describe(self) -> Iterable[Metric]:
        """Nothing is read at registration: the rooms may not have begun yet."""
        return [_family(reading, {}) for reading in self._readings]

    def collect(self) -> Iterator[Metric]:
        for reading in self._readings:
            value = reading.read() if reading.seconds is None else self._asked.get(reading.name, (0.0, None))[1]
            values = value if isinstance(value, Mapping) else {"": value}
            known = {label: number for label, number in values.items() if number is not None}
            if known:
                yield _family(reading, known)


def _read_or_none(reading: Reading) -> Value:
    try:
        return reading.read()
    except (OSError, RealmError) as error:
        logger.info("%s is unknown: %s", reading.name, error, extra={"event": "metric_unknown"})
        return None


def _family(reading: Reading, values: Mapping[str, float]) -> Metric:
    kind = CounterMetricFamily if reading.kind == "counter" else GaugeMetricFamily
    family = kind(reading.name, reading.help, labels=[reading.label] if reading.label else [])
    for label, number in values.items():
        family.add_metric([label] if reading.label else [], number)
    return family
