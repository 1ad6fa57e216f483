"""The vectors that the reference gives to other makers are what we speak."""

from __future__ import annotations

import re
from pathlib import Path

from openami.omadm.auth import Credentials, Hash, digest, sign
from openami.omadm.download import descriptor
from openami.omadm.download.ends import RESULTS
from openami.omadm.download.machine import TELL_TRIES, Policy
from openami.omadm.download.pace import LEAST_OCTETS, WINDOW_S
from openami.omadm.limits import DEFAULT_LIMITS
from openami.omadm.notification import Notification
from openami.omadm.session.client import MAX_MESSAGES, ClientConfig
from openami.omadm.session.outbox import MAX_ANSWERS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "oma-dm.md"
DEVICE = Credentials("dcu-D1", "correct horse battery staple 22")
NONCE = bytes(range(16))
BODY = b'<SyncML xmlns="SYNCML:SYNCML1.2"/>'


def test_the_vectors_of_the_reference() -> None:
    page = PAGE.read_text("utf-8")
    assert digest(DEVICE, NONCE) in page
    assert str(sign(DEVICE, NONCE, BODY, Hash.SHA256)).partition("mac=")[2] in page
    assert Notification("openami", 0x1A2B).build(DEVICE.password, NONCE).hex() in page


def test_the_bounds_of_the_reference() -> None:
    page = PAGE.read_text("utf-8")
    config = ClientConfig("urn:x", "https://x", ())
    for figure in (
        config.max_msg_size,
        config.max_obj_size,
        MAX_MESSAGES,
        MAX_ANSWERS,
        DEFAULT_LIMITS.elements,
        DEFAULT_LIMITS.commands,
        DEFAULT_LIMITS.items,
    ):
        assert f"{figure:,}" in page
    assert f"{DEFAULT_LIMITS.depth} elements deep" in page
    assert DEFAULT_LIMITS.octets == DEFAULT_LIMITS.text_octets == 2**20


def test_the_ends_of_downloads_of_the_reference() -> None:
    rows = re.findall(r"^\| `(download\.[a-z-]+)` \|.*\| (\d+) \| (\d+) \| (\d+) \|$",
                      PAGE.read_text("utf-8"), re.MULTILINE)  # fmt: skip
    assert rows == [(end, *map(str, map(int, results))) for end, results in RESULTS.items()]


def test_the_bounds_of_downloads_of_the_reference() -> None:
    section = PAGE.read_text("utf-8").partition("## Downloads")[2].partition("\n## ")[0]
    for figure in (
        descriptor.LIMITS.octets,
        descriptor.LIMITS.elements,
        descriptor.MAX_URL,
        descriptor.MAX_TEXT,
        descriptor.MAX_TYPES,
        LEAST_OCTETS,
        int(WINDOW_S),
    ):
        assert f"{figure:,}" in section
    policy = Policy(frozenset(), frozenset())
    assert (policy.first_s, policy.most_s, policy.tries, policy.restarts) == (5, 1800, 16, 8)
    assert TELL_TRIES == 3
