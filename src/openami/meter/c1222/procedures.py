"""What ST-07 lets a meter do; what came of it stands in ST-08 (C12.19, 9.8)."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from openami.c1222.tables import (
    Procedure,
    ProcedureRequest,
    ProcedureResponse,
    Result,
    Selector,
)
from openami.core.errors import DecodeError, LocalProtocolError, StoreError
from openami.dlms.cosem import AccessError, Command
from openami.meter.c1222 import live
from openami.meter.c1222.description import IMAGE_ACTIVATE, IMAGE_INITIATE, IMAGE_VERIFY
from openami.meter.c1222.moments import seconds_of, shown
from openami.meter.c1222.rights import PROTECTED, Rights
from openami.meter.objects.clock import EngineClock
from openami.meter.trial import TrialState
from openami.metrology.events import Event, Ring

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.c1222.node import Caller
    from openami.c1222.tables import Tables
    from openami.c1222.tables.description import ProcedureKey
    from openami.meter.c1222.firmware import FirmwareTables
    from openami.meter.c1222.lists import Lists
    from openami.meter.c1222.store import WrittenTables
    from openami.meter.device import Meter

HEAD: Final = 3
"""Octets of ST-07 before the parameters: the procedure and the sequence number."""
STEPS: Final = 10_000
"""Turns of a self-test: one for each object; more is one that does not end."""
_FULL: Final = 100
"""Per cent: the level of a direct load control that lets everything on."""
_MANUFACTURER: Final = 0x0800
_NUMBER: Final = 0x07FF

Answer = tuple[Result, "Mapping[str, Any]"]
_NOTHING: Final[Mapping[str, Any]] = {}


class Procedures:
    """The procedures of one meter.

    Args:
        meter: the meter.
        tables: how they are written.
        lists: what procedures 4 and 5 act on.
        written: what procedures 12 to 15 act on.
        firmware: what the manufacturer's procedures act on.
    """

    def __init__(
        self,
        meter: Meter,
        tables: Tables,
        lists: Lists,
        written: WrittenTables,
        firmware: FirmwareTables,
    ) -> None:
        self._meter = meter
        self._tables = tables
        self._lists = lists
        self._written = written
        self._own: Mapping[ProcedureKey, Callable[[Mapping[str, Any]], Result]] = {
            IMAGE_INITIATE: firmware.initiate,
            IMAGE_VERIFY: firmware.verify,
            IMAGE_ACTIVATE: firmware.activate,
        }

    def run(self, octets: bytes, caller: Caller) -> bytes | None:
        """Do what ST-07 asks for.

        Returns:
            What ST-08 holds then; None: what it held before, as the request wants.

        Raises:
            DecodeError: that is no ST-07.
        """
        try:
            request = ProcedureRequest.decode(self._tables, octets)
            result, data = self._run(request, caller)
        except DecodeError:
            request = _head(octets)
            known = request.key in self._own or request.key in self._STANDARD
            result, data = Result.BAD_PARAMETER if known else Result.UNRECOGNIZED, _NOTHING
        silent = request.selector == Selector.NEVER or (
            request.selector == Selector.ON_EXCEPTION and result <= Result.ACCEPTED
        )
        if silent:
            return None
        return ProcedureResponse.to(request, result, data).encode(self._tables)

    def _run(self, request: ProcedureRequest, caller: Caller) -> Answer:
        key = request.key
        if key not in self._own and key not in self._STANDARD:
            return Result.UNRECOGNIZED, _NOTHING
        if key in PROTECTED and not Rights.protected(caller):
            return Result.NO_AUTHORIZATION, _NOTHING
        if key in self._own:
            return self._own[key](request.parameters), _NOTHING
        found = self._STANDARD[key](self, request.parameters)
        return found if isinstance(found, tuple) else (found, _NOTHING)

    # Starts.

    def _cold_start(self, parameters: Mapping[str, Any]) -> Result:
        if (result := self._warm_start(parameters)) is Result.DONE:
            self._written.forget()
            self._meter.c1222.read.clear()
        return result

    def _warm_start(self, _: Mapping[str, Any]) -> Result:
        management = self._meter.management
        if management.trial is not TrialState.NONE:
            return Result.TIMING  # a restart would give the new firmware up
        management.restart()
        self._meter.record(Event.RESTARTED)
        return Result.DONE

    def _diagnose(self, _: Mapping[str, Any]) -> Result:
        """Let the firmware that runs test itself."""
        passed = False
        try:
            with self._meter.guarded():
                passed = self._self_test()
        except StoreError:  # it raised, and is restarted for that
            passed = False
        event = Event.DIAGNOSTICS_PASSED if passed else Event.DIAGNOSTICS_FAILED
        self._meter.record(event)
        return Result.DONE if passed else Result.CONFLICT

    def _self_test(self) -> bool:
        test = self._meter.application.self_test()
        for _ in range(STEPS):
            try:
                next(test)
            except StopIteration as end:
                return bool(end.value)
        return False

    # Data.

    def _clear_data(self, _: Mapping[str, Any]) -> Result:
        """Forget what is kept by time, and begin demand anew; no meter forgets its registers."""
        engine = self._meter.engine
        for ring in (Ring.LOAD_PROFILE, Ring.DAILY, Ring.SELF_READ):
            engine.clear(ring)
        engine.state.demand.reset()
        return Result.DONE

    def _reset_list(self, parameters: Mapping[str, Any]) -> Result:
        if not self._lists.known(parameters["LIST"]):
            return Result.BAD_PARAMETER
        self._lists.clear(parameters["LIST"])
        return Result.DONE

    def _update_list(self, parameters: Mapping[str, Any]) -> Result:
        number = parameters["LIST"]
        taken = self._lists.known(number) and self._lists.take(number, parameters["ENTRIES_READ"])
        return Result.DONE if taken else Result.BAD_PARAMETER

    def _remote_reset(self, parameters: Mapping[str, Any]) -> Result:
        action, engine = parameters["ACTION"], self._meter.engine
        if action["DEMAND_RESET"]:
            engine.close_billing()
            self._meter.record(Event.DEMAND_RESET)
        elif action["SELF_READ"]:
            engine.self_read()
        else:
            return Result.BAD_PARAMETER
        return Result.DONE

    # Time.

    def _set_clock(self, parameters: Mapping[str, Any]) -> Answer:
        mask, wanted = parameters["SET_MASK"], parameters["DATE_TIME"]
        engine = self._meter.engine
        before = shown(engine.seconds)
        if mask["SET_TIME_DATE_QUAL"] and not self._is_shown(parameters["TIME_DATE_QUAL"]):
            return Result.BAD_PARAMETER, _NOTHING  # times are UTC: there is nothing to set in it
        if not (mask["SET_DATE"] or mask["SET_TIME"]):  # a clock that is wrong stays so
            return Result.DONE, {"BEFORE": before, "AFTER": before}
        moment = _combined(before, wanted, day=mask["SET_DATE"], clock=mask["SET_TIME"])
        try:
            EngineClock(engine).set(seconds_of(moment))
        except AccessError:
            return Result.BAD_PARAMETER, _NOTHING
        self._meter.opened()
        return Result.DONE, {"BEFORE": before, "AFTER": shown(engine.seconds)}

    def _is_shown(self, qualifier: Mapping[str, Any]) -> bool:
        shows = live.qualifier(self._meter.engine)
        return all(qualifier[name] == shows[name] for name in shows if name != "DAY_OF_WEEK")

    # Pending tables.

    def _activate_all(self, _: Mapping[str, Any]) -> Result:
        return self._activate(None)

    def _activate_some(self, parameters: Mapping[str, Any]) -> Result:
        return self._activate(parameters["EVENT"])

    def _activate(self, event: Mapping[str, Any] | None) -> Result:
        try:
            count = self._written.activate(event)
        except (DecodeError, LocalProtocolError):
            return Result.CONFLICT
        if count:
            self._meter.record(Event.PARAMETERS_CHANGED)
        return Result.DONE

    def _clear_all(self, _: Mapping[str, Any]) -> Result:
        return self._clear(None)

    def _clear_some(self, parameters: Mapping[str, Any]) -> Result:
        return self._clear(parameters["EVENT"])

    def _clear(self, event: Mapping[str, Any] | None) -> Result:
        if self._written.clear(event):
            self._meter.record(Event.PARAMETERS_CHANGED)
        return Result.DONE

    # Load.

    def _control_load(self, parameters: Mapping[str, Any]) -> Result:
        """Connect or disconnect, now and until told otherwise: that is what the meter can."""
        level = parameters["LEVEL"]
        later = parameters["ACTIONS"] or any(parameters["TIMING"])
        if level not in {0, _FULL} or later:
            return Result.BAD_PARAMETER
        command = Command.REMOTE_RECONNECT if level else Command.REMOTE_DISCONNECT
        disconnector = self._meter.model.disconnector
        with self._meter.guarded():
            disconnector.command(command)
        # In some modes reconnection is for a person at the meter (Blue Book 4.5.8).
        done = self._meter.engine.state.connected == bool(level)
        return Result.DONE if done else Result.CONFLICT

    _STANDARD: ClassVar[Mapping[ProcedureKey, Callable[[Any, Mapping[str, Any]], Any]]] = {
        (False, number): method
        for number, method in (
            (Procedure.COLD_START, _cold_start),
            (Procedure.WARM_START, _warm_start),
            (Procedure.CLEAR_DATA, _clear_data),
            (Procedure.RESET_LIST_POINTERS, _reset_list),
            (Procedure.UPDATE_LAST_READ_ENTRY, _update_list),
            (Procedure.REMOTE_RESET, _remote_reset),
            (Procedure.SET_DATE_TIME, _set_clock),
            (Procedure.EXECUTE_DIAGNOSTICS, _diagnose),
            (Procedure.ACTIVATE_ALL_PENDING, _activate_all),
            (Procedure.ACTIVATE_PENDING, _activate_some),
            (Procedure.CLEAR_ALL_PENDING, _clear_all),
            (Procedure.CLEAR_PENDING, _clear_some),
            (Procedure.DIRECT_LOAD_CONTROL, _control_load),
        )
    }


def _head(octets: bytes) -> ProcedureRequest:
    """Return what ST-07 asks for, without its parameters.

    Raises:
        DecodeError: it is too short for that.
    """
    if len(octets) < HEAD:
        raise DecodeError("no ST-07", offset=len(octets))
    proc = int.from_bytes(octets[:2], "little")
    return ProcedureRequest(
        proc & _NUMBER, octets[2], {}, bool(proc & _MANUFACTURER), selector=proc >> 12
    )


def _combined(now: datetime, wanted: datetime | None, *, day: bool, clock: bool) -> datetime:
    """Return the time to set: the day, the time of day, or both of what is wanted."""
    moment = now if wanted is None else wanted
    chosen: date = moment.date() if day else now.date()
    return datetime.combine(chosen, moment.time() if clock else now.time())
