"""Whatever octets come: one message or ``DecodeError``, and nothing but a key opens what is sealed.

The mutations are drawn from a seed, so that a failure can be had again;
``OPENAMI_FUZZ_PDUS=100000`` tries as many.
"""

from __future__ import annotations

import os
import random
from typing import Final

import pytest
from tests.support.c1222_vectors import MESSAGES
from tests.support.vectors import attempt

from openami.c1222.apdu import Apdu
from openami.c1222.codes import SecurityMode
from openami.c1222.inspect import Inspector
from openami.c1222.security import Keys, Opened, unprotect
from openami.c1222.services import decode_request
from openami.core.errors import DecodeError, SecurityError
from openami.core.inspection import to_text

# What is looked for is what nobody thought of: the lines that it treads have tests of their own.
pytestmark = pytest.mark.no_cover

SEED: Final = 1153
MUTATIONS: Final = int(os.environ.get("OPENAMI_FUZZ_PDUS", "50000"))
INTERESTING: Final = bytes.fromhex("00 01 02 06 28 60 7F 80 81 82 84 8B A2 AC BE FE FF")
KEYS: Final = Keys({0: bytes(16), 2: bytes.fromhex("01020304050607080102030405060708")})


def mutate(octets: bytes, chance: random.Random) -> bytes:
    """Return ``octets`` changed, cut or extended in one to three places."""
    out = bytearray(octets)
    for _ in range(chance.choice((1, 1, 2, 3))):
        at = chance.randrange(len(out) + 1)
        kind = chance.randrange(5)
        if kind == 0:
            out[at : at + 1] = bytes((chance.choice(INTERESTING),))
        elif kind == 1 and at < len(out):
            out[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del out[at : at + chance.randrange(1, 5)]
        elif kind == 3:
            out[at:at] = chance.randbytes(chance.randrange(1, 5))
        else:
            del out[at:]
    if chance.random() < 0.5 and 2 < len(out) < 0x82:
        out[1] = len(out) - 2  # most would fall at the first length
    return bytes(out)


def opened(octets: bytes) -> Opened | SecurityError:
    try:
        return unprotect(octets, KEYS)
    except SecurityError as error:
        return error


def test_mutations_give_one_message_or_the_one_error() -> None:
    chance = random.Random(SEED)
    decoded = 0
    for _ in range(MUTATIONS):
        octets = mutate(chance.choice(MESSAGES).raw, chance)
        found = attempt(Apdu.decode, octets)
        if isinstance(found, DecodeError):
            assert 0 <= found.offset <= len(octets)
            assert isinstance(attempt(opened, octets), DecodeError)
            continue
        decoded += 1
        assert Apdu.decode(found.encode()) == found
        result = attempt(opened, octets)
        if isinstance(result, Opened):
            if octets not in {message.raw for message in MESSAGES}:
                assert result.epsem.mode is SecurityMode.CLEAR
            for service in result.epsem.services:
                attempt(decode_request, service)
        tree = attempt(Inspector(KEYS).message, octets)
        if not isinstance(tree, DecodeError):
            assert to_text(tree)
            assert tree.octets == octets
    assert MUTATIONS // 20 < decoded < MUTATIONS  # both ways are trodden
