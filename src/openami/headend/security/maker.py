"""A manufacturer's own tools: a root, and the factory identities of devices (IEEE 802.1AR 6.2).

For tests, demonstrations and small makers. Nothing here belongs to a head-end: it gets the maker's
public anchor and a list of what was made. ::

    <maker>/maker.pem         key and certificate of the root
    <maker>/anchor.pem        the certificate alone: the head-end's trust anchor

    <device>/certificate.pem  the factory certificate (IDevID)
    <device>/key.pem          its key
    <device>/authority.pem    whom the device trusts
    <device>/device.toml      who it is, and where the security server is
    <device>/1.root.json      by whom it knows its packages, if it takes any
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from openami.core.errors import ConfigError, DecodeError, SecurityError
from openami.core.identifiers import check_serial
from openami.crypto.certificates import UNREADABLE, Identity, fingerprint, issue_idevid, make_root
from openami.crypto.hardware import HardwareModule
from openami.firmware.trust import Trusted
from openami.headend.files import PUBLIC, private_folder, write_whole
from openami.headend.security.authorities import (
    BACKDATE_S,
    ROOT_DAYS,
    lasting,
    new_key,
)
from openami.headend.security.issued import key_pem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAKER: Final = "maker.pem"
ANCHOR: Final = "anchor.pem"
PACKAGES: Final = "1.root.json"
EXAMPLE_HARDWARE: Final = "1.3.6.1.4.1.32473.1"  # the enterprise of examples (RFC 5612)
MAX_DEVICES: Final = 100_000  # one batch of a production line, and more
_TEXT: Final = 64  # octets, as SSMP's texts
_NUMBERED: Final = re.compile(r"(.*?)([0-9]+)")


@dataclass(frozen=True, slots=True)
class DeviceType:
    """What devices have in common that are made together.

    Attributes:
        security_url: where they register.
        trust: whom they trust, in PEM.
        model: as the list of expected devices names it.
        hardware: its version.
        hardware_type: the object identifier of the hardware that keeps the key (RFC 4108 5).
        packages: the first root of the repository that it takes packages from; empty: none.
    """

    security_url: str
    trust: bytes
    model: str = "OA-DCU"
    hardware: str = "1"
    hardware_type: str = EXAMPLE_HARDWARE
    packages: bytes = b""


@dataclass(frozen=True, slots=True)
class MadeDevice:
    """A device that was made, as a list of expected ones has it."""

    uid: str
    manufacturer: str
    model: str
    fingerprint: str
    folder: Path


def make_maker(folder: Path, name: str, *, now: float) -> Path:
    """Make a manufacturer's root, or find it; return the file of the anchor for head-ends.

    Raises:
        ConfigError: ``config.maker``, the name can not be one, or there is another maker.
    """
    _checked_text("name", name)
    private_folder(folder)
    if not (folder / MAKER).exists():
        validity = lasting(ROOT_DAYS, now=now)
        serial = x509.random_serial_number()
        root = make_root(name, new_key(), serial=serial, validity=validity)
        write_whole(folder / MAKER, root.pem())
    root = _maker(folder)
    if _name_of(root) != name:
        raise _problem(f"{folder} belongs to {_name_of(root)}")
    write_whole(folder / ANCHOR, root.certificate_pem(), mode=PUBLIC)
    return folder / ANCHOR


def make_device(maker: Path, uid: str, kind: DeviceType, folder: Path, *, now: float) -> MadeDevice:
    """Make the factory identity of one device in a folder of its own.

    The folder is there whole or not at all.

    Raises:
        ConfigError: ``config.maker``, there is no maker in ``maker``, the uid or the kind can not
            be one, or the folder holds something already.
    """
    root = _maker(maker)
    try:
        check_serial(uid)
        module = HardwareModule(kind.hardware_type, uid.encode())
        module.encode()
    except ValueError as error:
        raise _problem(str(error)) from error
    check_kind(kind)
    key = new_key()
    start, serial = now - BACKDATE_S, x509.random_serial_number()
    leaf = issue_idevid(root, uid, module, key.public_key(), serial=serial, start=start)
    content = {
        "certificate.pem": leaf.public_bytes(Encoding.PEM),
        "key.pem": key_pem(key),
        "authority.pem": kind.trust,
        "device.toml": _toml(_facts(uid, _name_of(root), kind)),
        **({PACKAGES: kind.packages} if kind.packages else {}),
    }
    _write_folder(folder, content)
    return MadeDevice(uid, _name_of(root), kind.model, fingerprint(leaf).hex(), folder)


def check_kind(kind: DeviceType) -> None:
    """Check what devices are to have in common; ConfigError ``config.maker``."""
    _checked_text("model", kind.model)
    _checked_text("hardware", kind.hardware)
    parts = urlsplit(kind.security_url)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
        raise _problem(f"{kind.security_url!r} is not https://HOST:PORT")
    try:
        x509.load_pem_x509_certificates(kind.trust)
    except UNREADABLE as error:
        raise _problem("what the device is to trust is no certificate in PEM") from error
    try:
        if kind.packages:
            Trusted.start(kind.packages)
    except (DecodeError, SecurityError) as error:
        raise _problem(f"no root of a repository: {error.message}") from error


def numbered(uid: str, count: int) -> Sequence[str]:
    """Return ``count`` uids, counted on from the number that ``uid`` ends in.

    Raises:
        ConfigError: ``config.maker``, there is no number, or there are too many.
    """
    found = _NUMBERED.fullmatch(uid)
    if count == 1:
        return [uid]
    if found is None or count > MAX_DEVICES:
        raise _problem(f"a uid that ends in a number, and at most {MAX_DEVICES} devices, wanted")
    head, digits = found.groups()
    return [f"{head}{int(digits) + step:0{len(digits)}d}" for step in range(count)]


def _maker(folder: Path) -> Identity:
    file = folder / MAKER
    if not file.exists():
        raise ConfigError(
            f"there is no maker in {folder}",
            code="config.maker",
            hint="openami pki maker DIR --name NAME makes one",
        )
    return Identity.from_pem(file.read_bytes())


def _name_of(root: Identity) -> str:
    return str(root.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def _facts(uid: str, maker: str, kind: DeviceType) -> Mapping[str, str]:
    return {
        "uid": uid,
        "security_url": kind.security_url.rstrip("/"),
        "maker": maker,
        "model": kind.model,
        "hardware": kind.hardware,
    }


def _toml(facts: Mapping[str, str]) -> bytes:
    # A JSON string is a TOML basic string, too.
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in facts.items()).encode()


def _write_folder(folder: Path, content: Mapping[str, bytes]) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise _problem(f"{folder} holds something already")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for name, text in content.items():
            write_whole(temporary / name, text)
        temporary.replace(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _checked_text(what: str, text: str) -> None:
    if not text.strip() or not text.isprintable() or len(text.encode()) > _TEXT:
        raise _problem(f"a {what} has 1 to {_TEXT} octets")


def _problem(message: str) -> ConfigError:
    return ConfigError(message, code="config.maker")
