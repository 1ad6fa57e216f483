"""What a meter's memory holds besides its measurement: counters, keys, and what clients set.

Keys and the password are wrapped by the key that its maker put in (RFC 3394), which is not in the
memory but in the meter's own file: whoever has the one without the other has no key.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from openami.core.errors import DecodeError, SecurityError, StoreError
from openami.crypto.keywrap import unwrap, wrap
from openami.dlms.cosem import SecurityState
from openami.dlms.cosem.response import Standing
from openami.dlms.data import decode_data
from openami.dlms.security import Keys
from openami.meter.home.record import HomeRecord

if TYPE_CHECKING:
    from openami.meter.identity import MeterKeys

POLICY: Final = 3
"""Authenticated and encrypted (class 64 version 0): what a new meter wants of its managers."""

_BLOCK: Final = 8  # of the key wrap, which takes at least two

Accepted = dict[str, int]


@dataclass(slots=True)
class UpgradeRecord:
    """What a meter must not forget of its upgrades.

    Args:
        trying: the hash, in hex, of the image that is on trial: its end has not been written down.
        refusal: the code of why the last image is not in service; empty if nothing failed.
        day: the day of the latest transfer that was begun, counted from 1970.
        begun: how many were begun on that day.
    """

    trying: str = ""
    refusal: str = ""
    day: int = 0
    begun: int = 0


@dataclass(slots=True)
class C1222Record:
    """What a meter that speaks C12.22 must not forget of that.

    Args:
        ids: from where its invocation ids go on.
        newest: when the latest protected message that it took was made (UTC seconds).
        delay: within how many seconds it registers after its power failed.
        told: how far into each log its host has been told of events, by the log's number.
        read: how far each list has been read, by the number of its procedures.
        order: the logs of the newest events of all, in the order in which these were written.
        ordered: how far into each log that goes, by the log's number.
        tables: what clients have written, by the table, in hexadecimal.
        pending: tables that wait, each an event and octets, in hexadecimal.
        activated: when one of those came in force (UTC seconds of the meter's clock); 0: never.
    """

    ids: int = 0
    newest: float = 0.0
    delay: int = 0
    told: dict[str, int] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    ordered: dict[str, int] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict, repr=False)
    pending: dict[str, tuple[str, str]] = field(default_factory=dict, repr=False)
    activated: int = 0


_NO_C1222: Final = C1222Record()
_NOTHING_SAID: Final = Standing()
_NO_HOME: Final = HomeRecord()


@dataclass(slots=True)
class Kept:
    """The part of a meter's state that is not its engine's.

    Args:
        security: the management client's keys and policy.
        password: the reading client's.
        counter: from where the meter's own invocation counter goes on.
        accepted: the highest counters accepted of the management and of the reading client and
            of broadcasts, by the fingerprint of the key.
        settings: attributes that clients have written, as ``class/obis/attribute``, encoded.
        upgrade: of its firmware.
        c1222: of C12.22.
        standing: what the utility says to the household and what this answered.
        tripped: the limiter's last action was to disconnect.
        taken: of its measuring part, if that is apart.
        home: the displays that are paired.
        converter: what its own converter is calibrated to, if it has one: JSON.
    """

    security: SecurityState = field(repr=False)
    password: bytes = field(repr=False)
    counter: int = 0
    accepted: tuple[Accepted, Accepted, Accepted] = field(default_factory=lambda: ({}, {}, {}))
    settings: dict[str, bytes] = field(default_factory=dict)
    upgrade: UpgradeRecord = field(default_factory=UpgradeRecord)
    c1222: C1222Record = field(default_factory=C1222Record)
    standing: Standing = field(default_factory=Standing)
    tripped: bool = False
    taken: dict[str, Any] | None = None
    home: HomeRecord = field(default_factory=HomeRecord)
    converter: object = None

    @classmethod
    def new(cls, keys: MeterKeys) -> Self:
        """Return the state of a meter as it leaves the factory."""
        known = Keys(guek=keys.guek, gak=keys.gak, gbek=keys.gbek)
        return cls(SecurityState(POLICY, known, keys.master), keys.lls)

    def secrets(self, factory: bytes) -> dict[str, Any]:
        """Return keys, policy and password as JSON holds them, wrapped by the key ``factory``."""
        keys = self.security.keys
        every = {
            "guek": keys.guek,
            "gak": keys.gak,
            "gbek": keys.gbek,
            "master": self.security.master,
            "lls": self.password,
        }
        wrapped = {
            name: wrap(factory, _padded(key)).hex()
            for name, key in every.items()
            if key is not None
        }
        return {"policy": self.security.policy, "keys": wrapped}


def encode(
    engine: dict[str, Any],
    kept: Kept,
    secrets: dict[str, Any],
    counters: tuple[int, Accepted, Accepted, Accepted],
) -> bytes:
    """Return a snapshot.

    Args:
        engine: the engine's state.
        kept: the rest.
        secrets: what ``kept.secrets`` gave: wrapping is not for every snapshot.
        counters: the limit of the own counter, and the three accepted.
    """
    data: dict[str, Any] = {
        "engine": engine,
        "secrets": secrets,
        "counters": counters,
        "settings": {name: value.hex() for name, value in kept.settings.items()},
        "upgrade": asdict(kept.upgrade),
    }
    if kept.c1222 != _NO_C1222:  # most meters of a street do not speak it
        data["c1222"] = asdict(kept.c1222)
    if kept.standing != _NOTHING_SAID:
        data["standing"] = kept.standing.data().encode().hex()
    if kept.tripped:
        data["tripped"] = True
    if kept.home != _NO_HOME:
        data["home"] = kept.home.data()
    if kept.taken is not None:
        data["taken"] = kept.taken
    if kept.converter is not None:
        data["converter"] = kept.converter
    return json.dumps(data, separators=(",", ":")).encode()


def decode(snapshot: bytes, factory: bytes) -> tuple[dict[str, Any], Kept]:
    """Return the engine's state and the rest of what ``encode`` gave.

    Raises:
        StoreError: the snapshot is damaged, or of another meter (``memory.damaged``).
    """
    try:
        data = json.loads(snapshot)
        secrets = {
            name: _unpadded(unwrap(factory, bytes.fromhex(text)))
            for name, text in data["secrets"]["keys"].items()
        }
        password, master = secrets.pop("lls"), secrets.pop("master", None)
        security = SecurityState(data["secrets"]["policy"], Keys(**secrets), master)
        counter, management, reader, *later = data["counters"]
        broadcast = later[0] if later else {}  # meters of before 2026-11 took none
        accepted = dict(management), dict(reader), dict(broadcast)
        settings = {name: bytes.fromhex(text) for name, text in data["settings"].items()}
        upgrade = UpgradeRecord(**data.get("upgrade", {}))  # meters of before 2026-11 have none
        c1222 = C1222Record(**data.get("c1222", {}))
        kept = Kept(security, password, counter, accepted, settings, upgrade, c1222)
        if "standing" in data:
            kept.standing = Standing.of(decode_data(bytes.fromhex(data["standing"])))
        kept.tripped = bool(data.get("tripped"))
        kept.taken = data.get("taken")
        kept.converter = data.get("converter")
        if "home" in data:
            kept.home = HomeRecord.of(data["home"], factory)
        return data["engine"], kept
    except (ValueError, KeyError, TypeError, AttributeError, DecodeError, SecurityError):
        # The cause may show a key: it is not handed on.
        raise StoreError("a meter's memory is damaged", code="memory.damaged") from None


def _padded(secret: bytes) -> bytes:
    text = bytes((len(secret),)) + secret
    size = max(-(-len(text) // _BLOCK) * _BLOCK, 2 * _BLOCK)
    return text.ljust(size, b"\0")


def _unpadded(text: bytes) -> bytes:
    return text[1 : 1 + text[0]]
