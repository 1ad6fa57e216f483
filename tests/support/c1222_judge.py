"""tshark as a judge of messages of C12.22, with which it shares no line."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from openami.c1222.apdu import Apdu

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

COMMANDS: Final = ("tshark", "text2pcap")
_BASE: Final = "c1222.baseoid:2.16.124.113620.1.22.0"
_WRONG: Final = (
    '_ws.malformed || (c1222 && _ws.expert.severity >= "Warning") || c1222.crypto_bad == 1'
)
LINKS: Final[Mapping[str, tuple[str, ...]]] = {
    "tcp": ("-T", "40000,1153"),
    "udp": ("-u", "40000,1153"),
    "udp6": ("-6", "2001:db8::1,2001:db8::2", "-u", "40000,1153"),
}


@dataclass(frozen=True)
class Verdict:
    """How many messages the judge sees, and the lines of those that it finds wrong."""

    seen: int
    wrong: list[str]


def needs_judge() -> pytest.MarkDecorator:
    """Skip a test where the judge is not: ``make test`` then names it at its end."""
    absent = [command for command in COMMANDS if shutil.which(command) is None]
    return pytest.mark.skipif(bool(absent), reason=f"no {', '.join(absent)}")


def judgeable(octets: bytes) -> bool:
    """Whether the judge can tell if a message's tag is right.

    It finds the head of the user information, of which tags are made, by one of its three lengths:
    where these have not as many octets each (a few sizes about 128 and about 256) it takes others.
    """
    part = Apdu.decode(octets).parts[-1]
    head = octets[part.start :]
    sizes = []
    for _ in range(3):
        size = 1 + max(head[1] - 0x80, 0)
        sizes.append(size)
        head = head[1 + size :]
    return len(set(sizes)) == 1


def judge(
    messages: Sequence[bytes], folder: Path, *, link: str = "tcp", keys: Mapping[int, bytes]
) -> Verdict:
    """Return what tshark thinks of whole messages, each in a packet of its own."""
    dump, capture = folder / f"{link}.hex", folder / f"{link}.pcap"
    lines = []
    for octets in messages:
        lines += [f"{at:06x} {octets[at : at + 16].hex(' ')}" for at in range(0, len(octets), 16)]
    dump.write_text("\n".join(lines) + "\n")
    _run("text2pcap", "-q", *LINKS[link], str(dump), str(capture))
    options = ["-r", str(capture), "-o", _BASE]
    for key_id, key in keys.items():
        options += ["-o", f'uat:c1222_decryption_table:"{key_id:x}",{key.hex()}']
    seen = _run("tshark", *options, "-Y", "c1222").splitlines()
    return Verdict(len(seen), _run("tshark", *options, "-Y", _WRONG).splitlines())


def _run(*arguments: str) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout
