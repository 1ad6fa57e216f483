"""A meter of another maker: a gurux-dlms server, in a process of its own.

``gurux_meter.py PASSWORD`` (an empty one: lowest security) listens on a free port of the loopback
interface for the wrapper and prints it. Its HDLC server, its actions, its selective access and its
object list fail inside the library, so they are left out. gurux-dlms is under GPLv2 and is used by
this test peer alone: nothing of openami imports it.
"""

# ruff: noqa: N802, N815 - the methods that gurux-dlms calls have its own names

from __future__ import annotations

import contextlib
import socket
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from gurux_dlms import GXDateTime
from gurux_dlms.enums import (
    AccessMode,
    Authentication,
    InterfaceType,
    MethodAccessMode,
    SourceDiagnostic,
    Unit,
)
from gurux_dlms.GXServerReply import GXServerReply
from gurux_dlms.objects import (
    GXDLMSAssociationLogicalName,
    GXDLMSCaptureObject,
    GXDLMSClock,
    GXDLMSData,
    GXDLMSProfileGeneric,
    GXDLMSRegister,
)
from gurux_dlms.secure import GXDLMSSecureServer

START = datetime(2024, 7, 1, tzinfo=UTC)


class Reply(GXServerReply):  # type: ignore[misc] # gurux-dlms has no types
    """What the server calls and its own class lacks."""

    def setReply(self, value: Any) -> None:
        self.reply = value

    def getConnectionInfo(self) -> Any:
        return self.connectionInfo


class Meter(GXDLMSSecureServer):  # type: ignore[misc] # gurux-dlms has no types
    """A register, a clock, a serial number and a load profile of a day."""

    def __init__(self, password: str) -> None:
        association = GXDLMSAssociationLogicalName()
        super().__init__(True, InterfaceType.WRAPPER)
        self.password = password.encode()
        association.secret = self.password
        self.settings.maxServerPDUSize = 512
        serial = GXDLMSData("0.0.96.1.0.255")
        serial.value = "GRX12345"
        energy = GXDLMSRegister("1.0.1.8.0.255")
        energy.value, energy.scaler, energy.unit = 123456, 10.0, Unit.ACTIVE_ENERGY
        clock = GXDLMSClock("0.0.1.0.0.255")
        clock.time = GXDateTime(START)
        interval = GXDLMSRegister("1.0.1.29.0.255")
        profile = GXDLMSProfileGeneric("1.0.99.1.0.255")
        profile.capturePeriod = 900
        profile.captureObjects.append((clock, GXDLMSCaptureObject(2, 0)))
        profile.captureObjects.append((interval, GXDLMSCaptureObject(2, 0)))
        for number in range(96):
            moment = GXDateTime(START + timedelta(seconds=900 * number))
            profile.buffer.append([moment, 1000 + number])
        profile.profileEntries = profile.entriesInUse = 96
        for item in (association, serial, energy, clock, interval, profile):
            self.items.append(item)
            association.objectList.append(item)
        self.initialize()

    def isTarget(self, server: int, client: int) -> bool:
        self.settings.authentication = Authentication.LOW if self.password else Authentication.NONE
        return client in {2, 16}

    def onValidateAuthentication(self, authentication: Any, password: Any) -> Any:
        fine = not self.password or bytes(password or b"") == self.password
        return SourceDiagnostic.NONE if fine else SourceDiagnostic.AUTHENTICATION_FAILURE

    def onFindObject(self, kind: Any, sn: int, name: str) -> Any:
        return None

    def onGetAttributeAccess(self, arg: Any) -> Any:
        return AccessMode.READ_WRITE

    def onGetMethodAccess(self, arg: Any) -> Any:
        return MethodAccessMode.ACCESS

    def setTransaction(self, value: Any) -> None:
        self.transaction = value

    def getTransaction(self) -> Any:
        return self.transaction

    def _ignore(self, *_: Any) -> None:
        """Take part in nothing more."""

    onPreGet = onPostGet = onPreRead = onPostRead = onPreWrite = onPostWrite = _ignore
    onPreAction = onPostAction = onConnected = onInvalidConnection = onDisconnected = _ignore
    notifyRead = notifyConnected = _ignore


def serve(connection: socket.socket, meter: Meter) -> None:
    while data := connection.recv(65536):
        reply = Reply(data)
        meter.handleRequest(reply)
        if reply.reply:
            connection.sendall(bytes(reply.reply))


def main() -> None:
    (password,) = sys.argv[1:]
    meter = Meter(password)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        output, sys.stdout = sys.stdout, sys.stderr  # gurux-dlms prints remarks
        print(listener.getsockname()[1], file=output, flush=True)
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(ConnectionError):
                serve(connection, meter)
            meter.reset()


main()
