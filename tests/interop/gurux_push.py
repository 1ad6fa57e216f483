"""What gurux-dlms reads in a push that is ciphered.

Reads one JSON object from standard input: keys, title of the client and a packet of the wrapper in
hex; writes the values that it finds to standard output. gurux-dlms is under GPLv2 and is used by
test peers alone: nothing of openami imports it.
"""

from __future__ import annotations

import json
import sys

from gurux_dlms import GXByteBuffer, GXReplyData
from gurux_dlms.enums import Authentication, InterfaceType, Security
from gurux_dlms.secure import GXDLMSSecureClient


def main() -> None:
    plan = json.load(sys.stdin)
    output, sys.stdout = sys.stdout, sys.stderr  # the peer prints what it thinks
    peer = GXDLMSSecureClient(
        True, plan["client"], 1, Authentication.HIGH_GMAC, None, InterfaceType.WRAPPER
    )
    peer.ciphering.security = Security.AUTHENTICATION_ENCRYPTION
    peer.ciphering.systemTitle = bytes.fromhex(plan["title"])
    peer.ciphering.blockCipherKey = bytes.fromhex(plan["guek"])
    peer.ciphering.authenticationKey = bytes.fromhex(plan["gak"])
    reply, push = GXReplyData(), GXReplyData()
    peer.getData(GXByteBuffer(bytes.fromhex(plan["packet"])), reply, push)
    json.dump(push.value, output)


if __name__ == "__main__":
    main()
