"""The codec of device management, against the same work with xml.etree.

The work is from octets to a typed message and back. The peer's octets become the standard
library's elements, in C, and from there the same typed message by the same records: what is
compared is our XML reader and writer, with its bounds, and our WBXML. The messages are those of
the tests' corpus, some of each kind. Before anything is timed, the results are compared.
"""

from __future__ import annotations

import time
from functools import partial
from statistics import median
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET  # the peer; the messages are our own

from tests.omadm.corpus import INLINE, MESSAGES

from openami.omadm.element import NAMESPACES, Element
from openami.omadm.messages import MediaType, decode_message, encode_message
from openami.omadm.messages.codec import message_of
from openami.omadm.messages.records import write_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.omadm.messages.model import Message

ROUNDS = 9
REPEATS = 20
_PAGES = {namespace: page for page, namespace in NAMESPACES.items()}


def _ours(theirs: ET.Element) -> Element:
    namespace, _, name = theirs.tag[1:].partition("}")
    content = tuple(_ours(child) for child in theirs) if len(theirs) else theirs.text or ()
    return Element(_PAGES[namespace], name, content)


def _theirs(ours: Element) -> ET.Element:
    element = ET.Element(f"{{{NAMESPACES[ours.page]}}}{ours.name}")
    if isinstance(ours.content, tuple):
        element.extend([_theirs(child) for child in ours.content])
    else:
        element.text = str(ours.content)
    return element


def decode_etree(octets: bytes) -> Message:
    """Return a message by way of xml.etree."""
    return message_of(_ours(ET.fromstring(octets)))


def encode_etree(message: Message) -> bytes:
    """Return a message's XML by way of xml.etree."""
    octets: bytes = ET.tostring(_theirs(write_message(message)), "utf-8")
    return octets


def _microseconds(work: Callable[[], object], messages: int) -> float:
    """Return the median time of one message."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(REPEATS):
            work()
        times.append((time.perf_counter() - start) / REPEATS / messages * 1e6)
    return median(times)


def _decode_all(octets: list[bytes], media: MediaType) -> None:
    for each in octets:
        decode_message(each, media)


def _encode_all(messages: list[Message], media: MediaType) -> None:
    for each in messages:
        encode_message(each, media)


def main() -> None:
    """Print messages per second, and how many times as fast as the peer."""
    messages = [MESSAGES[name] for name in sorted(MESSAGES.keys() - INLINE)]
    octets = {media: [encode_message(m, media) for m in messages] for media in MediaType}
    xml = octets[MediaType.XML]
    # The peer writes a bare CR, which no reader gives back.
    assert [decode_etree(each) for each in xml] == messages
    assert sum(decode_message(encode_etree(m), MediaType.XML) == m for m in messages) >= (
        len(messages) - 1
    )
    count = len(messages)
    peer_in = _microseconds(lambda: [decode_etree(each) for each in xml], count)
    peer_out = _microseconds(lambda: [encode_etree(each) for each in messages], count)
    print(f"{count} messages; octets on average: ", end="")
    print(", ".join(f"{m.name} {sum(map(len, octets[m])) / count:.0f}" for m in MediaType))
    print(f"{'':8} {'decode/s':>10} {'ratio':>7} {'encode/s':>10} {'ratio':>7}")
    print(f"{'etree':8} {1e6 / peer_in:10,.0f} {'1.00':>7} {1e6 / peer_out:10,.0f} {'1.00':>7}")
    for media in MediaType:
        read = _microseconds(partial(_decode_all, octets[media], media), count)
        write = _microseconds(partial(_encode_all, messages, media), count)
        ratios = f"{peer_in / read:7.2f} {1e6 / write:10,.0f} {peer_out / write:7.2f}"
        print(f"{media.name:8} {1e6 / read:10,.0f} {ratios}")
