"""Registrations as JSON: octets in hexadecimal digits, what is empty left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from openami.fleet.registration import (
    Claim,
    Issued,
    Offer,
    Reason,
    Registration,
    Standing,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CLAIM_OCTETS: Final = ("exchange", "factory", "key", "public")
_CLAIM_TEXTS: Final = ("manufacturer", "model", "hardware", "firmware")


def to_json(registration: Registration) -> dict[str, Any]:
    """Return a registration as it is kept."""
    fields = {name: getattr(registration, name) for name in _WRITE}
    return {name: _WRITE[name](value) for name, value in fields.items() if value}


def from_json(uid: str, standing: str, body: Mapping[str, Any]) -> Registration:
    """Return the registration that was kept."""
    fields = {name: read(body[name]) for name, read in _READ.items() if name in body}
    return Registration(uid=uid, standing=Standing(standing), **fields)


def _claim(claim: Claim) -> dict[str, Any]:
    octets = {name: getattr(claim, name).hex() for name in _CLAIM_OCTETS}
    return {**octets, **{name: getattr(claim, name) for name in _CLAIM_TEXTS}, "when": claim.when}


def _read_claim(kept: Mapping[str, Any]) -> Claim:
    fields: dict[str, Any] = {name: bytes.fromhex(kept[name]) for name in _CLAIM_OCTETS}
    return Claim(**fields, **{name: kept[name] for name in _CLAIM_TEXTS}, when=kept["when"])


def _issued(issued: Issued) -> dict[str, Any]:
    # A serial number has up to 159 bits, which is more than JSON's readers agree on.
    kept = {"serial": f"{issued.serial:x}", "key": issued.key.hex()}
    return {**kept, "renewed": issued.renewed, "ends": issued.ends}


def _read_issued(kept: Mapping[str, Any]) -> Issued:
    when = kept.get("renewed", 0.0), kept.get("ends", 0.0)
    return Issued(int(kept["serial"], 16), bytes.fromhex(kept["key"]), *when)


def _offer(offer: Offer) -> dict[str, Any]:
    certificate = _issued(offer.certificate)
    return {"digest": offer.digest.hex(), "until": offer.until, "certificate": certificate}


def _read_offer(kept: Mapping[str, Any]) -> Offer:
    certificate = _read_issued(kept["certificate"])
    return Offer(bytes.fromhex(kept["digest"]), kept["until"], certificate)


_WRITE: Final[Mapping[str, Callable[[Any], Any]]] = {
    "claim": _claim,
    "grant": bytes.hex,
    "follows": bytes.hex,
    "reason": lambda reason: reason.name,
    "offer": _offer,
    "live": bytes.hex,
    "certificate": _issued,
    "previous": _issued,
    "rival": _claim,
    "before": lambda standing: standing.value,
    "open": bool,
    "past": lambda past: [one.hex() for one in past],
}
_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "claim": _read_claim,
    "grant": bytes.fromhex,
    "follows": bytes.fromhex,
    "reason": lambda name: Reason[name],
    "offer": _read_offer,
    "live": bytes.fromhex,
    "certificate": _read_issued,
    "previous": _read_issued,
    "rival": _read_claim,
    "before": Standing,
    "open": bool,
    "past": lambda past: tuple(bytes.fromhex(one) for one in past),
}
