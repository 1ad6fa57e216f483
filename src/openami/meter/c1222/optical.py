"""The meter's optical port: C12.18 on a serial line, before the tables that its node serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.c1222.codes import ResponseCode, Standard
from openami.c1222.psem import LinkParameters, PsemServer
from openami.c1222.services import Failure
from openami.metrology.events import Event

if TYPE_CHECKING:
    from openami.c1222.node import Caller
    from openami.c1222.services import Identified, Request, Response
    from openami.meter.c1222.station import MeterStation


class OpticalPort(PsemServer):
    """Serves one line; while management is away nobody hears, and after it the session is over.

    Args:
        station: of the meter.
        number: its own on a modem that several devices share, which C12.21 has; 0: it is alone.
    """

    def __init__(self, station: MeterStation, *, number: int = 0) -> None:
        super().__init__(
            _Kept(station),
            parameters=LinkParameters(identity=number),
            standard=Standard.C12_21 if number else Standard.C12_18,
        )
        self._management = station.meter.management
        self._restarts = self._management.restarts

    def receive_data(self, data: bytes, *, now: float) -> None:
        """Take any slice of what came."""
        if not self._deaf(now):
            super().receive_data(data, now=now)

    def handle_timer(self, *, now: float) -> None:
        """Send again what was not taken, and end what is silent."""
        if not self._deaf(now):
            super().handle_timer(now=now)

    def _deaf(self, now: float) -> bool:
        if self._restarts != self._management.restarts:
            self._restarts = self._management.restarts
            self.receive_eof(now=now)
        return self._management.away


class _Kept:
    """The meter's tables; what a request has changed is kept before it is answered."""

    def __init__(self, station: MeterStation) -> None:
        self._station = station

    def identify(self) -> Identified:
        return self._station.tables.identify()

    def authorizes(self, user_id: int, password: bytes) -> bool:
        right = self._station.tables.authorizes(user_id, password)
        event = Event.ASSOCIATION_OPENED if right else Event.AUTHENTICATION_FAILED
        self._station.meter.note(event)
        return right

    def serve(self, request: Request, caller: Caller, *, now: float) -> Response:
        answer = self._station.tables.serve(request, caller, now=now)
        return answer if self._station.kept() else Failure(ResponseCode.BSY)
