"""Many HDLC stations on one modelled line, behind one modem, in real time.

A frame from the modem is read once, goes over the medium once, and reaches the stations that its
address means; the others would read it only to ignore it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from openami.core.errors import ConfigError, DecodeError, TransportError
from openami.dlms.hdlc import Frame, FrameReader, HdlcServerLink
from openami.transport.clock import monotonic
from openami.transport.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from openami.dlms.link import Machine
    from openami.transport.channel import Channel
    from openami.transport.medium import Medium, Reception

_SHORTEST_WAIT_S: Final = 0.001
"""A machine whose timer is due but does nothing must not spin the loop."""


class Station:
    """One station on a line.

    Args:
        link: its data link, which tells its address.
        machine: what is run: the link itself, or a server over it.
        on_event: takes what the machine reports.

    Attributes:
        wake_at: when its line wakes it, kept by the line.
    """

    def __init__(
        self,
        link: HdlcServerLink,
        machine: Machine[Any] | None = None,
        on_event: Callable[[Any], None] | None = None,
    ) -> None:
        self.link = link
        self.machine: Machine[Any] = link if machine is None else machine
        self.on_event = on_event
        self.wake_at: float | None = None

    @property
    def address(self) -> int:
        """The lower HDLC address."""
        return self.link.station


class MultiDropLine:
    """The line.

    Args:
        medium: what happens on it.
        stations: who is on it.
        now: the monotonic clock that timers follow.

    Raises:
        ConfigError: two stations have the same address.

    Attributes:
        errors: octets from the modem that were no frame, and frames that arrived broken.
    """

    def __init__(
        self,
        medium: Medium,
        stations: Iterable[Station] = (),
        *,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self.medium = medium
        self.errors = 0
        self._now = now
        self._stations: dict[int, Station] = {}
        self._schedule = Schedule(now)
        self._reader = FrameReader()
        self._modem: Channel | None = None
        self._failure: BaseException | None = None
        for station in stations:
            self.add(station)

    def add(self, station: Station) -> None:
        """Put one more station on the line.

        Raises:
            ConfigError: its address is taken.
        """
        if station.address in self._stations:
            raise ConfigError(
                f"station {station.address} is on this line already", code="config.station"
            )
        self._stations[station.address] = station

    async def serve(self, modem: Channel) -> None:
        """Be the line behind ``modem`` until it closes or another modem takes its place.

        A concentrator that comes back finds the line free, even if its old connection lingers.

        Raises:
            Exception: what a station's machine raised: a bug of ours.
        """
        if self._modem is not None:
            self._modem.close()
        self._modem = modem
        self._reader = FrameReader()
        modem.attach(self)
        try:
            await modem.wait_closed()
        finally:
            modem.detach(self)
            if self._modem is modem:
                self._modem = None
        if self._failure is not None:
            raise self._failure

    def pump(self, station: Station) -> None:
        """Send what a station has to send, for one that was commanded from outside."""
        machine = station.machine
        busy = True
        while busy:
            busy = False
            for piece in machine.data_to_send():
                self._upward(piece)
            while (event := machine.next_event()) is not None:
                busy = True
                if station.on_event is not None:
                    station.on_event(event)
        self._arm(station)

    def close(self) -> None:
        """Stop every timer and close the modem."""
        self._schedule.clear()
        if self._modem is not None:
            self._modem.close()

    # What the channel calls.

    def data_received(self, data: bytes) -> None:
        """Take octets from the modem."""
        try:
            errors = self._reader.errors
            for frame in self._reader.feed(data):
                self._downward(frame)
            self.errors += self._reader.errors - errors
        except Exception as exc:  # noqa: BLE001 - raised by serve()
            self._fail(exc)

    def channel_closed(self, error: TransportError | None) -> None:
        """Take note that the modem has gone; the stations do not notice."""

    # The line itself.

    def _downward(self, frame: Frame) -> None:
        stations = self._addressed(frame)
        raw = frame.encode()
        transmission = self.medium.transmit(raw, now=self._now())
        for station in stations:
            for reception in self.medium.receptions(transmission):
                self._schedule.at(reception.at, self._arrival(station, frame, raw, reception))

    def _addressed(self, frame: Frame) -> Iterable[Station]:
        address = frame.destination
        lower = address.upper if address.lower is None else address.lower
        if lower == address.all_stations:
            return tuple(self._stations.values())
        station = None if address.lower is None else self._stations.get(lower)
        return () if station is None else (station,)

    def _arrival(
        self, station: Station, frame: Frame, raw: bytes, reception: Reception
    ) -> Callable[[], None]:
        def arrive() -> None:
            arrived = reception.octets()
            try:
                heard = frame if arrived is raw else Frame.decode(arrived)
            except DecodeError:
                self.errors += 1
                return
            now = self._now()
            station.link.receive_frame(heard, now=now)
            if station.machine is not station.link:
                station.machine.receive_data(b"", now=now)  # it looks what its link has for it
            self.pump(station)

        return self._guarded(arrive)

    def _upward(self, piece: bytes) -> None:
        transmission = self.medium.transmit(piece, now=self._now(), upward=True)
        for reception in self.medium.receptions(transmission):
            self._schedule.at(reception.at, self._answer(reception))

    def _answer(self, reception: Reception) -> Callable[[], None]:
        def arrive() -> None:
            if self._modem is not None and not self._modem.closed:
                self._modem.write(reception.octets())

        return arrive

    def _arm(self, station: Station) -> None:
        when = station.machine.next_timer()
        if when is None or (station.wake_at is not None and station.wake_at <= when):
            return
        station.wake_at = when
        soonest = self._now() + _SHORTEST_WAIT_S
        self._schedule.at(max(when, soonest), self._guarded(lambda: self._wake(station)))

    def _wake(self, station: Station) -> None:
        station.wake_at = None
        station.machine.handle_timer(now=self._now())
        self.pump(station)

    def _guarded(self, action: Callable[[], None]) -> Callable[[], None]:
        def guarded() -> None:
            try:
                action()
            except Exception as exc:  # noqa: BLE001 - raised by serve()
                self._fail(exc)

        return guarded

    def _fail(self, exc: Exception) -> None:
        self._failure = exc
        self.close()
