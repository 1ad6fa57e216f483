"""Whatever octets come: one message or ``DecodeError``, and nothing that costs more than it is.

The mutations are drawn from a seed, so that a failure can be had again.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import pytest
from tests.support.vectors import attempt, load, notifications, telegrams

from openami.core.errors import DecodeError
from openami.dlms.apdu import Apdu, decode_apdu
from openami.dlms.data import decode_data
from openami.dlms.inspect import inspect_dlms, inspect_hdlc, inspect_wrapper, to_dict, to_text
from openami.dlms.security import Keys
from openami.dlms.wrapper import Packet

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.dlms.inspect import Node

# What is looked for is what nobody thought of: the lines that it treads have tests of their own.
pytestmark = pytest.mark.no_cover

SEEDS: Final = (20240229, 62056)
MUTATIONS: Final = 50_000  # of each seed
KEYS: Final = Keys(guek=bytes(range(16)), gak=bytes(range(0xD0, 0xE0)), dedicated=bytes(16))

PIECES: Final = (1, 1, 1, 1, 1, 1, 2, 3)  # frames one after another: whole ones only take time

# Octets that begin lengths, counts, nested data and ends of ranges.
INTERESTING: Final = bytes.fromhex("00 01 02 09 13 0C 7E 7F 80 81 82 84 FE FF")


def corpus() -> list[bytes]:
    """Return every vector, and every form of what real meters send."""
    return [*(case.raw for case in load("apdu")), *one_of_each_size(notifications())]


def one_of_each_size(many: list[bytes]) -> list[bytes]:
    """Return every form of the real telegrams once."""
    return list({len(octets): octets for octets in many}.values())


def mutate(octets: bytes, chance: random.Random) -> bytes:
    """Return ``octets`` changed, cut, extended or spliced in one to four places."""
    out = bytearray(octets)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
        at = chance.randrange(len(out) + 1)
        kind = chance.randrange(6)
        if kind == 0:
            out[at : at + 1] = bytes((chance.randrange(256),))
        elif kind == 1:
            out[at : at + 1] = bytes((chance.choice(INTERESTING),))
        elif kind == 2 and at < len(out):
            out[at] ^= 1 << chance.randrange(8)
        elif kind == 3:
            del out[at : at + chance.randrange(1, 5)]
        elif kind == 4:
            out[at:at] = chance.randbytes(chance.randrange(1, 5))
        else:
            del out[at:]
    return bytes(out)


@pytest.fixture(params=SEEDS)
def chance(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(request.param)


def test_mutations_give_one_message_or_the_one_error(chance: random.Random) -> None:
    """What decodes encodes to something that decodes to the same again."""
    seeds = corpus()
    decoded = 0
    for _ in range(MUTATIONS):
        octets = mutate(chance.choice(seeds), chance)
        found = attempt(decode_apdu, octets)
        if isinstance(found, DecodeError):
            assert 0 <= found.offset <= len(octets)
            continue
        decoded += 1
        again = found.encode()
        assert decode_apdu(again).encode() == again
    assert MUTATIONS // 20 < decoded < MUTATIONS  # both ways are trodden


def test_every_octet_of_every_vector_takes_every_interesting_value() -> None:
    for octets in corpus():
        for at in range(len(octets)):
            for value in INTERESTING:
                changed = octets[:at] + bytes((value,)) + octets[at + 1 :]
                found = attempt(decode_apdu, changed)
                if isinstance(found, DecodeError):
                    assert 0 <= found.offset <= len(octets)


def test_chance_octets(chance: random.Random) -> None:
    tags = sorted({octets[0] for octets in corpus()})
    for _ in range(5_000):
        octets = bytes((chance.choice(tags),)) + chance.randbytes(chance.randrange(60))
        found = attempt(decode_apdu, octets)
        assert isinstance(found, DecodeError | Apdu)
        attempt(decode_data, octets[1:])


def test_a_tree_exactly_where_there_is_a_message(chance: random.Random) -> None:
    """The inspector knows the same grammar, and covers all octets with its leaves."""
    seeds = corpus()
    for _ in range(20_000):
        octets = mutate(chance.choice(seeds), chance)
        message = attempt(decode_apdu, octets)
        tree = attempt(lambda octets: inspect_dlms(octets, KEYS, title=bytes(8)), octets)
        assert isinstance(tree, DecodeError) == isinstance(message, DecodeError)
        if not isinstance(tree, DecodeError):
            assert tree.octets == octets
            assert to_text(tree)
            assert to_dict(tree)["offset"] == 0


@pytest.mark.parametrize(
    ("inspect", "seeds"),
    [
        pytest.param(inspect_hdlc, one_of_each_size(telegrams()), id="frames"),
        pytest.param(
            inspect_wrapper, [Packet(1, 16, octets).encode() for octets in corpus()], id="packets"
        ),
    ],
)
def test_mutated_frames_and_packets_give_a_tree_or_the_one_error(
    inspect: Callable[[bytes], Node], seeds: list[bytes], chance: random.Random
) -> None:
    for _ in range(MUTATIONS):
        octets = mutate(b"".join(chance.choices(seeds, k=chance.choice(PIECES))), chance)
        tree = attempt(inspect, octets)
        if not isinstance(tree, DecodeError):
            assert to_text(tree)


def test_many_elements_cost_no_more_than_their_octets() -> None:
    """An array of as many nulls as octets is the most that an APDU can blow up to."""
    nulls = b"\x01\x82\xff\x00" + bytes(0xFF00)
    data = decode_data(nulls)
    assert len(data.value) == 0xFF00
    assert data.value[0] is data.value[-1]
