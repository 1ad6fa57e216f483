"""What gurux-dlms writes and reads, in a process of its own.

Reads one JSON object from standard input: keys, a system title and octets of data in hex; writes
one to standard output: the messages it makes and what it makes of each piece of data. gurux-dlms
is under GPLv2 and is used by test peers alone: nothing of openami imports it.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

from gurux_dlms import GXByteBuffer, GXDLMSClient
from gurux_dlms.enums import Authentication, DataType, InterfaceType, Security
from gurux_dlms.internal._GXCommon import _GXCommon
from gurux_dlms.internal._GXDataInfo import _GXDataInfo
from gurux_dlms.objects import GXDLMSProfileGeneric, GXDLMSRegister
from gurux_dlms.secure import GXDLMSSecureClient


def client(authentication: Authentication, password: str | None = None) -> Any:
    return GXDLMSClient(True, 16, 1, authentication, password, InterfaceType.WRAPPER)


def secure_client(plan: dict[str, Any]) -> Any:
    peer = GXDLMSSecureClient(True, 1, 1, Authentication.HIGH_GMAC, None, InterfaceType.WRAPPER)
    peer.ciphering.security = Security.AUTHENTICATION_ENCRYPTION
    peer.ciphering.systemTitle = bytes.fromhex(plan["title"])
    peer.ciphering.blockCipherKey = bytes.fromhex(plan["guek"])
    peer.ciphering.authenticationKey = bytes.fromhex(plan["gak"])
    return peer


def messages(plan: dict[str, Any]) -> dict[str, Any]:
    peer = client(Authentication.NONE)
    profile = GXDLMSProfileGeneric(plan["profile"])
    register = GXDLMSRegister("1.0.1.8.0.255")
    register.value = 5
    register.setDataType(2, DataType.UINT32)
    day = datetime(2024, 1, 1), datetime(2024, 1, 2)  # noqa: DTZ001 - it wants local times
    return {
        "plain": client(Authentication.NONE).aarqRequest(),
        "low": client(Authentication.LOW, "12345678").aarqRequest(),
        "ciphered": secure_client(plan).aarqRequest(),
        "whole": peer.read(profile, 2),
        "entries": peer.readRowsByEntry(profile, 3, 10),
        "rows": peer.readRowsByRange(profile, *day),
        "reset": peer.method(profile, 1, 0, DataType.INT8),
        "written": peer.write(register, 2),
    }


def data(octets: bytes) -> dict[str, Any]:
    """Return what it reads in ``octets``, and what it writes of that again, unless a list."""
    found = _GXCommon.getData(None, GXByteBuffer(octets), _GXDataInfo())
    buffer = GXByteBuffer()
    if not isinstance(found, list):
        _GXCommon.setData(None, buffer, octets[0], found)
    return {"value": plain(found), "written": bytes(buffer.array()).hex()}


def plain(value: Any) -> Any:
    """Return what it read as JSON holds it; octets as ``{"octets": hex}``."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return {"octets": bytes(value).hex()}
    for kind in (bool, int, float, str):
        if isinstance(value, kind):  # it has its own classes of numbers below these
            return kind(value)
    return None if value is None else str(value)


def main() -> None:
    plan = json.load(sys.stdin)
    output, sys.stdout = sys.stdout, sys.stderr  # gurux-dlms prints remarks
    made = {name: [bytes(m).hex() for m in made] for name, made in messages(plan).items()}
    read = [data(bytes.fromhex(octets)) for octets in plan["data"]]
    json.dump({"messages": made, "data": read}, output)


if __name__ == "__main__":
    main()
