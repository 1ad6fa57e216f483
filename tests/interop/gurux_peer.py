"""A DLMS client of another maker: gurux-dlms, in a process of its own.

Reads one JSON object from standard input: where the meter is, how to associate, and the steps to
take; writes one JSON object with each step's result to standard output. gurux-dlms is under GPLv2
and is used by this test peer alone: nothing of openami imports it.
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
from gurux_dlms.GXDLMSConfirmedServiceError import GXDLMSConfirmedServiceError
from gurux_dlms.GXDLMSException import GXDLMSException
from gurux_dlms.GXDLMSExceptionResponse import GXDLMSExceptionResponse
from gurux_dlms.GXDLMSGateway import GXDLMSGateway
from gurux_dlms.objects import (
    GXDLMSClock,
    GXDLMSData,
    GXDLMSImageTransfer,
    GXDLMSProfileGeneric,
    GXDLMSSecuritySetup,
)
from gurux_dlms.objects.enums import GlobalKeyType
from gurux_dlms.secure import GXDLMSSecureClient

AUTHENTICATIONS = {
    "none": Authentication.NONE,
    "low": Authentication.LOW,
    "gmac": Authentication.HIGH_GMAC,
}
SECURITIES = {
    "none": Security.NONE,
    "authenticated": Security.AUTHENTICATION,
    "encrypted": Security.ENCRYPTION,
    "both": Security.AUTHENTICATION_ENCRYPTION,
}

TEMPORARY_FAILURE = 2
VERIFYING = 2  # image_transfer_status

REFUSALS = (GXDLMSException, GXDLMSExceptionResponse, GXDLMSConfirmedServiceError)


class Peer:
    """One association over one TCP connection or UDP port."""

    def __init__(self, plan: dict[str, Any]) -> None:
        hdlc = plan["link"] == "hdlc"
        self.client = GXDLMSSecureClient(
            useLogicalNameReferencing=True,
            clientAddress=plan["client"],
            serverAddress=plan["server"],
            forAuthentication=AUTHENTICATIONS[plan["authentication"]],
            password=plan.get("password"),
            interfaceType=InterfaceType.HDLC if hdlc else InterfaceType.WRAPPER,
        )
        if hdlc:
            self.client.serverAddressSize = plan.get("address_size", 4)
            self.client.hdlcSettings.maxInfoTX = plan.get("max_info", 128)
            self.client.hdlcSettings.maxInfoRX = plan.get("max_info", 128)
        if "max_pdu" in plan:
            self.client.maxReceivePDUSize = plan["max_pdu"]
        ciphering = self.client.ciphering
        ciphering.security = SECURITIES[plan["security"]]
        if "guek" in plan:
            ciphering.systemTitle = bytearray.fromhex(plan["system_title"])
            ciphering.blockCipherKey = bytearray.fromhex(plan["guek"])
            ciphering.authenticationKey = bytearray.fromhex(plan["gak"])
            ciphering.invocationCounter = plan["invocation_counter"]
        if "dedicated" in plan:
            ciphering.dedicatedKey = bytearray.fromhex(plan["dedicated"])
        if "gateway" in plan:
            self.client.settings.gateway = GXDLMSGateway()
            self.client.settings.gateway.networkId = 0
            self.client.settings.gateway.physicalDeviceAddress = plan["gateway"].encode()
        kind = socket.SOCK_DGRAM if plan.get("datagrams") else socket.SOCK_STREAM
        self.socket = socket.socket(socket.AF_INET, kind)
        self.socket.settimeout(60)
        self.socket.connect((plan["host"], plan["port"]))

    def packet(self, data: Any, reply: GXReplyData) -> None:
        """Send one frame and take the answer to it."""
        notify = GXReplyData()
        reply.error = 0
        self.socket.sendall(bytes(data))
        received = GXByteBuffer()
        while not self.client.getData(received, reply, notify):
            octets = self.socket.recv(65536)
            if not octets:
                raise ConnectionError("the meter closed")
            received.set(octets)
        if reply.error:
            raise GXDLMSException(reply.error)

    def ask(self, frames: Any) -> GXReplyData:
        """Send a request, however many frames it has, and take the whole answer."""
        reply = GXReplyData()
        for frame in frames if isinstance(frames, list) else [frames]:
            reply.clear()
            self.packet(frame, reply)
            while reply.isMoreData():
                self.packet(self.client.receiverReady(reply), reply)
        return reply

    def connect(self) -> None:
        snrm = self.client.snrmRequest()
        if snrm:
            self.client.parseUAResponse(self.ask(snrm).data)
        self.client.parseAareResponse(self.ask(self.client.aarqRequest()).data)
        if self.client.isAuthenticationRequired:
            reply = self.ask(self.client.getApplicationAssociationRequest())
            self.client.parseApplicationAssociationResponse(reply.data)

    def close(self) -> None:
        self.ask(self.client.releaseRequest())
        if disconnect := self.client.disconnectRequest():
            self.ask(disconnect)
        self.socket.close()

    def read(self, class_id: int, name: str, attribute: int) -> Any:
        item = self.client.createObject(ObjectType(class_id))
        item.logicalName = name
        reply = self.ask(self.client.read(item, attribute))
        return self.client.updateValue(item, attribute, reply.value)

    def objects(self) -> list[list[Any]]:
        reply = self.ask(self.client.getObjectsRequest())
        found = self.client.parseObjects(reply.data, onlyKnownObjects=False)
        return [[int(item.objectType), item.logicalName, item.version] for item in found]

    def profile(self, name: str) -> GXDLMSProfileGeneric:
        item = GXDLMSProfileGeneric(name)
        for attribute in (3, 4):
            reply = self.ask(self.client.read(item, attribute))
            self.client.updateValue(item, attribute, reply.value)
        return item

    def range(self, name: str, start: float, end: float) -> Any:
        item = self.profile(name)
        moments = [GXDateTime(datetime.fromtimestamp(at, UTC)) for at in (start, end)]
        reply = self.ask(self.client.readRowsByRange(item, *moments))
        return self.client.updateValue(item, 2, reply.value)

    def entries(self, name: str, first: int, count: int) -> Any:
        item = self.profile(name)
        reply = self.ask(self.client.readRowsByEntry(item, first, count))
        return self.client.updateValue(item, 2, reply.value)

    def columns(self, name: str) -> list[list[Any]]:
        item = self.profile(name)
        return [
            [int(column.objectType), column.logicalName, place.attributeIndex, place.dataIndex]
            for column, place in item.captureObjects
        ]

    def set_clock(self, name: str, at: float) -> None:
        clock = GXDLMSClock(name)
        clock.time = GXDateTime(datetime.fromtimestamp(at, UTC))
        self.ask(self.client.write(clock, 2))

    def write(self, name: str, octets: str) -> int:
        """Write octets to a data object; return how many requests that took."""
        item = GXDLMSData(name)
        item.value = bytearray.fromhex(octets)
        requests = self.client.write(item, 2)
        self.ask(requests)
        return len(requests)

    def transfer_keys(self, name: str, master: str, *keys: str) -> int:
        """Invoke a security setup's key_transfer; return how many requests that took."""
        kinds = (
            GlobalKeyType.UNICAST_ENCRYPTION,
            GlobalKeyType.BROADCAST_ENCRYPTION,
            GlobalKeyType.AUTHENTICATION,
        )
        chosen = [(kind, bytearray.fromhex(key)) for kind, key in zip(kinds, keys, strict=True)]
        setup = GXDLMSSecuritySetup(name)
        requests = setup.globalKeyTransfer(self.client, bytearray.fromhex(master), chosen)
        self.ask(requests)
        return len(requests)

    def transfer_image(self, name: str, identifier: str, octets: str) -> list[Any]:
        """Take the steps 1 to 5 of an image transfer; return block size, first gap and status."""
        item = GXDLMSImageTransfer(name)
        size = self.read_image(item, 2)
        image = bytearray.fromhex(octets)
        self.ask(item.imageTransferInitiate(self.client, identifier, len(image)))
        for frames in item.imageBlockTransfer(self.client, image, None):
            self.ask(frames)
        gap = self.read_image(item, 4)
        self.until_done(item.imageVerify(self.client))
        while (status := self.read_image(item, 6)) == VERIFYING:
            time.sleep(0.05)
        return [size, gap, int(status)]

    def activate_image(self, name: str) -> int:
        item = GXDLMSImageTransfer(name)
        self.until_done(item.imageActivate(self.client))
        return int(self.read_image(item, 6))

    def read_image(self, item: GXDLMSImageTransfer, attribute: int) -> Any:
        reply = self.ask(self.client.read(item, attribute))
        return self.client.updateValue(item, attribute, reply.value)

    def until_done(self, frames: Any) -> None:
        """Ask for what may take its time: the status tells the result then."""
        try:
            self.ask(frames)
        except GXDLMSException as error:
            if error.errorCode != TEMPORARY_FAILURE:
                raise


def plain(value: Any) -> Any:
    """Return a value as JSON can have it: times as seconds in UTC, octets in hexadecimal."""
    if isinstance(value, GXDateTime):
        return {"time": value.value.timestamp()}
    if isinstance(value, bytes | bytearray):
        return bytes(value).hex()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def main() -> None:
    output, sys.stdout = sys.stdout, sys.stderr  # gurux-dlms prints remarks
    plan = json.load(sys.stdin)
    results: list[Any] = []
    peer = Peer(plan)
    try:
        peer.connect()
        for operation, *arguments in plan["steps"]:
            try:
                results.append(plain(getattr(peer, operation)(*arguments)))
            except REFUSALS as error:
                results.append({"error": str(error)})
        peer.close()
    except (*REFUSALS, ConnectionError, TimeoutError) as error:
        json.dump({"error": str(error), "results": results}, output)
        return
    counter = peer.client.ciphering.invocationCounter
    json.dump({"results": results, "invocation_counter": counter}, output)


main()
