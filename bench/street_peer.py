"""Whole reads by gurux-dlms as client, in a process of its own.

It is under GPLv2 and used by benchmarks and tests alone: nothing of openami imports it. Reads a
plan as JSON from standard input, writes figures as JSON to standard output.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from datetime import UTC, datetime
from typing import Any

from gurux_dlms import GXByteBuffer, GXDateTime, GXReplyData
from gurux_dlms.enums import Authentication, InterfaceType, ObjectType, Security
from gurux_dlms.objects import GXDLMSProfileGeneric
from gurux_dlms.secure import GXDLMSSecureClient

HDLC_UPPER = 1 << 14


class Reader:
    """A client that reads one meter after another over one connection."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.socket = socket.create_connection(("127.0.0.1", plan["port"]), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.captured: list[Any] = []

    def client(self, meter: dict[str, Any], counter: int) -> GXDLMSSecureClient:
        client = GXDLMSSecureClient(
            useLogicalNameReferencing=True,
            clientAddress=1,
            serverAddress=HDLC_UPPER + meter["address"],
            forAuthentication=Authentication.HIGH_GMAC,
            interfaceType=InterfaceType.HDLC,
        )
        client.serverAddressSize = 4
        client.hdlcSettings.maxInfoTX = client.hdlcSettings.maxInfoRX = self.plan["info"]
        client.maxReceivePDUSize = self.plan["pdu"]
        ciphering = client.ciphering
        ciphering.security = Security.AUTHENTICATION_ENCRYPTION
        ciphering.systemTitle = bytearray.fromhex(self.plan["title"])
        ciphering.blockCipherKey = bytearray.fromhex(meter["guek"])
        ciphering.authenticationKey = bytearray.fromhex(meter["gak"])
        ciphering.invocationCounter = counter
        return client

    def ask(self, client: GXDLMSSecureClient, frames: Any) -> GXReplyData:
        reply = GXReplyData()
        for frame in frames if isinstance(frames, list) else [frames]:
            reply.clear()
            self._exchange(client, frame, reply)
            while reply.isMoreData():
                self._exchange(client, client.receiverReady(reply), reply)
        return reply

    def _exchange(self, client: GXDLMSSecureClient, frame: Any, reply: GXReplyData) -> None:
        self.socket.sendall(bytes(frame))
        received, notify = GXByteBuffer(), GXReplyData()
        while not client.getData(received, reply, notify):
            octets = self.socket.recv(65536)
            if not octets:
                raise ConnectionError("the street closed")
            received.set(octets)
        assert not reply.error, reply.error

    def read(self, meter: dict[str, Any], counter: int) -> tuple[int, int, int]:
        """Associate, read, release; return rows, the sum of their energy, and the register."""
        client = self.client(meter, counter)
        client.parseUAResponse(self.ask(client, client.snrmRequest()).data)
        client.parseAareResponse(self.ask(client, client.aarqRequest()).data)
        reply = self.ask(client, client.getApplicationAssociationRequest())
        client.parseApplicationAssociationResponse(reply.data)
        profile = GXDLMSProfileGeneric(self.plan["profile"])
        if self.captured:
            profile.captureObjects = self.captured
        else:  # what the columns are is known from an earlier visit, with both clients
            reply = self.ask(client, client.read(profile, 3))
            client.updateValue(profile, 3, reply.value)
            self.captured = profile.captureObjects
        moments = [GXDateTime(datetime.fromtimestamp(at, UTC)) for at in self.plan["range"]]
        reply = self.ask(client, client.readRowsByRange(profile, *moments))
        rows = client.updateValue(profile, 2, reply.value)
        register = client.createObject(ObjectType.REGISTER)
        register.logicalName = self.plan["register"]
        reply = self.ask(client, client.read(register, 2))
        total = client.updateValue(register, 2, reply.value)
        self.ask(client, client.releaseRequest())
        self.ask(client, client.disconnectRequest())
        return len(rows), sum(row[2] for row in rows), int(total)


def main() -> None:
    output, sys.stdout = sys.stdout, sys.stderr  # gurux-dlms prints remarks
    plan = json.load(sys.stdin)
    reader = Reader(plan)
    counter = plan["counter"]
    first = reader.read(plan["meters"][0], counter)
    began, worked = time.perf_counter(), time.process_time()
    reads = 0
    while time.perf_counter() - began < plan["seconds"]:
        counter += 1000
        meter = plan["meters"][reads % len(plan["meters"])]
        assert reader.read(meter, counter) == first
        reads += 1
    took, worked = time.perf_counter() - began, time.process_time() - worked
    json.dump({"reads": reads, "took": took, "worked": worked, "first": first}, output)


if __name__ == "__main__":
    main()
