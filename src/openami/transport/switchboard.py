"""One wrapper connection to many meters: the destination wPort is the meter's station.

A sans-IO machine. Each meter that is spoken to has a server of its own on this connection, which
sees a plain wrapper connection with its logical device at wPort 1.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from openami.core.errors import DecodeError
from openami.dlms.link import Machine
from openami.dlms.wrapper import Packet, PacketReader, WrapperParameters, WrapperServerLink

MANAGEMENT_DEVICE: Final = 1
"""The logical device that every meter has (Blue Book 4.1.8.4)."""

OpenMeter = Callable[[int, WrapperServerLink], Machine[Any] | None]


class Switchboard:
    """A ``Machine[tuple[int, Any]]``: its events are a station and what its server reported.

    Args:
        open_meter: makes the server of the meter at a station, over the link given; None where
            there is no meter.
        parameters: times; the connection is a stream.
        now: when the connection was opened.

    Attributes:
        finished: the connection is of no use any more: close it.
    """

    def __init__(
        self, open_meter: OpenMeter, parameters: WrapperParameters | None = None, *, now: float
    ) -> None:
        self.finished = False
        self._open_meter = open_meter
        self._parameters = parameters or WrapperParameters()
        self._reader = PacketReader(self._parameters)
        self._meters: dict[int, Machine[Any]] = {}
        self._out: list[bytes] = []
        self._events: deque[tuple[int, Any]] = deque()
        self._heard_at = now

    def receive_data(self, data: bytes, *, now: float) -> None:
        if self.finished:
            return
        try:
            packets = self._reader.feed(data)
        except DecodeError:
            self._finish(now)
            return
        for packet in packets:
            self._heard_at = now
            self._receive(packet, now)

    def receive_eof(self, *, now: float) -> None:
        self._finish(now)

    def data_to_send(self) -> tuple[bytes, ...]:
        out, self._out = tuple(self._out), []
        return out

    def next_event(self) -> tuple[int, Any] | None:
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        if self.finished:
            return None
        timers = [timer for m in self._meters.values() if (timer := m.next_timer()) is not None]
        if limit := self._parameters.inactivity_timeout:
            timers.append(self._heard_at + limit)
        return min(timers, default=None)

    def handle_timer(self, *, now: float) -> None:
        for station in tuple(self._meters):
            self._meters[station].handle_timer(now=now)
            self._collect(station)
        limit = self._parameters.inactivity_timeout
        if limit and now >= self._heard_at + limit:
            self._finish(now)

    def _receive(self, packet: Packet, now: float) -> None:
        station = packet.destination
        meter = self._meters.get(station)
        if meter is None:
            link = WrapperServerLink((MANAGEMENT_DEVICE,), self._parameters, opened_at=now)
            meter = self._open_meter(station, link)
            if meter is None:
                return
            self._meters[station] = meter
        inner = Packet(packet.source, MANAGEMENT_DEVICE, packet.apdu)
        meter.receive_data(inner.encode(), now=now)
        self._collect(station)

    def _collect(self, station: int) -> None:
        meter = self._meters[station]
        for piece in meter.data_to_send():
            packet = Packet.decode(piece)
            self._out.append(Packet(station, packet.destination, packet.apdu).encode())
        while (event := meter.next_event()) is not None:
            self._events.append((station, event))

    def _finish(self, now: float) -> None:
        if self.finished:
            return
        self.finished = True
        for station in tuple(self._meters):
            self._meters[station].receive_eof(now=now)
            self._collect(station)
        self._meters.clear()
