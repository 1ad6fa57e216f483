"""``openami firmware``: meter images and deltas, as files on the own machine."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from openami.cli.firmware_component import component_facts, is_component, package_component
from openami.cli.firmware_dcu import package_dcu, package_facts
from openami.cli.options import examples
from openami.cli.output import counted, emit_json, json_option, note, table
from openami.core.errors import ConfigError, DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric import ec

    from openami.firmware.image import Dependency, Image
    from openami.firmware.keys import ImageKey
    from openami.firmware.repository import Keeper
    from openami.firmware.version import Version

T = TypeVar("T")

MAX_FILE: Final = 64 << 20  # octets: of an image or of either end of a delta
MAX_KEY: Final = 16 << 10

_ZIP: Final = b"PK\x03\x04"

_file = click.Path(path_type=Path, dir_okay=False, exists=True)
_out = click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="File to write."
)


@click.group(short_help="Build, sign, inspect and verify images of meters and DCUs; make deltas.")
def firmware() -> None:
    """Work on firmware as files: no head-end is needed.

    Meter images are in MCUboot's format, signed by ECDSA on P-256; imgtool reads and writes the
    same. The image of a DCU's software, and of a component of it, is a zip, which the list of the
    release repository signs.
    """


firmware.add_command(package_dcu)
firmware.add_command(package_component)


@firmware.command(
    epilog=examples(
        "openami firmware build payload.bin --version 1.4.2 --counter 3 --hardware 'rev B' --key vendor.pem --out gw100.img",
        "openami firmware build application.py --name openami --version 1.2.3 --counter 1 --hardware OA1-100 --out unsigned.img",
    )
)
@click.argument("payload", type=_file)
@click.option("--version", "version", required=True, help="Such as 1.4.2 or 1.4.2+7.")
@click.option(
    "--counter", required=True, type=click.IntRange(0, 0xFFFF_FFFF),
    help="Security counter: meters take none that is lower than theirs.",
)  # fmt: skip
@click.option("--hardware", required=True, multiple=True, help="A type that it fits; repeatable.")
@click.option("--needs", metavar="VERSION", help="What has to run when it is installed.")
@click.option(
    "--depends", multiple=True, metavar="IMAGE=VERSION",
    help="Another image of the meter by its number, and its least version; repeatable.",
)  # fmt: skip
@click.option("--name", help="PAYLOAD is the source of an openami meter's application, called so.")
@click.option(
    "--trial", type=click.IntRange(0, 86_400), default=0, show_default=True,
    help="With --name: seconds without a fault after the self-test.",
)  # fmt: skip
@click.option("--key", type=_file, help="Private key in PEM; without it the image is not signed.")
@_out
def build(
    payload: Path,
    version: str,
    counter: int,
    hardware: tuple[str, ...],
    needs: str | None,
    depends: tuple[str, ...],
    name: str | None,
    trial: int,
    key: Path | None,
    out: Path,
) -> None:
    """Build a meter image around the file PAYLOAD."""
    from openami.firmware.build import Plan, assemble

    number = _version(version)
    octets = _read(payload)
    if name is not None:
        octets = _application(octets, name, number, hardware, trial)
    try:
        dependencies = _dependencies(needs, depends)
        plan = Plan(number, counter, hardware, dependencies)
        made = assemble(plan, octets)
    except ValueError as error:
        raise ConfigError(str(error), code="config.image") from error
    if key is not None:
        made = _sign(made, _private(key))
    out.write_bytes(made)
    note(f"{out}: {number}, {len(made)} octets, {'signed' if key else 'not signed yet'}")


@firmware.command(
    short_help="Sign an image.",
    epilog=examples("openami firmware sign unsigned.img --key vendor.pem --out gw100.img"),
)
@click.argument("image", type=_file)
@click.option("--key", required=True, type=_file, help="Private key on P-256, in PEM.")
@_out
def sign(image: Path, key: Path, out: Path) -> None:
    """Sign IMAGE, which `build` wrote; a signature that it has is replaced."""
    from openami.firmware.image import Image

    octets = _read(image)
    try:
        octets = Image.decode(octets).signed
    except DecodeError:
        note(f"{image}: no signature yet")
    made = _sign(octets, _private(key))
    Image.decode(made)  # what is no image becomes none by being signed
    out.write_bytes(made)
    note(f"{out}: signed, {len(made)} octets")


@firmware.command(
    short_help="Tell what an image or a delta says of itself.",
    epilog=examples("openami firmware inspect gw100.img --json"),
)
@click.argument("file", type=_file)
@json_option
def inspect(file: Path, as_json: bool) -> None:
    """Tell what FILE, an image or a delta, says of itself; nothing of it is verified."""
    from openami.firmware.delta import MAGIC

    octets = _read(file)
    if octets.startswith(_ZIP):
        told = component_facts(octets) if is_component(octets) else package_facts(octets)
    else:
        told = _delta_facts(octets) if octets.startswith(MAGIC) else _image_facts(octets)
    if as_json:
        emit_json(told)
    else:
        table(["what", "value"], [[name, _words(value)] for name, value in told.items()])


@firmware.command(
    epilog=examples(
        "openami firmware verify gw100.img --key vendor.pub.pem --hardware 'rev B' --counter 2"
    )
)
@click.argument("image", type=_file)
@click.option(
    "--key", "keys", required=True, multiple=True, type=_file,
    help="Key in PEM, public or private, that may have signed it; repeatable.",
)  # fmt: skip
@click.option("--hardware", help="The type of the meter, if it is to fit.")
@click.option(
    "--counter", type=click.IntRange(0, 0xFFFF_FFFF), default=0, help="What the meter stores."
)
@json_option
def verify(
    image: Path, keys: tuple[Path, ...], hardware: str | None, counter: int, as_json: bool
) -> None:
    """Verify IMAGE as a meter does before every jump."""
    from openami.firmware.image import Image
    from openami.firmware.verify import Target, check_fit, check_signature

    found = Image.decode(_read(image))
    trusted = tuple(public_key(key) for key in keys)
    check_signature(found, trusted)
    if hardware is not None:
        check_fit(found, Target(trusted, hardware), counter=counter)
    if as_json:
        emit_json({"verified": True, "version": str(found.version), "key": found.key_id.hex()})
    else:
        note(f"{image}: {found.version} is right, signed by {found.key_id.hex()}")


@firmware.command(
    epilog=examples(
        "openami firmware delta agent-1.1.bin agent-1.2.bin --out agent.delta",
        "openami firmware delta agent-1.1.bin agent.delta --apply --out agent-1.2.bin",
    )
)
@click.argument("old", type=_file)
@click.argument("new", type=_file)
@click.option("--apply", is_flag=True, help="NEW is a delta: write what it makes of OLD.")
@_out
@json_option
def delta(old: Path, new: Path, apply: bool, out: Path, as_json: bool) -> None:
    """Write what makes the file NEW out of OLD."""
    from openami.firmware import delta as deltas

    source, result = _read(old), _read(new)
    made = deltas.apply(source, result) if apply else deltas.make(source, result)
    out.write_bytes(made)
    if as_json:
        emit_json({"octets": len(made), "sha256": hashlib.sha256(made).hexdigest()})
    else:
        of = "" if apply else f", {100 * len(made) / max(1, len(result)):.1f} % of {new}"
        note(f"{out}: {len(made)} octets{of}")


def public_key(file: Path) -> ImageKey:
    """Return the public key of a PEM file that holds it or its private half; ConfigError."""
    from openami.firmware.keys import ImageKey

    if b"PRIVATE KEY" in _read(file, MAX_KEY):
        return ImageKey(_private(file).public_key())
    return _key_in(file, ImageKey.from_pem)


def _private(file: Path) -> ec.EllipticCurvePrivateKey:
    from openami.firmware.keys import private_key

    return _key_in(file, private_key)


def _key_in(file: Path, read: Callable[[bytes], T]) -> T:
    octets = _read(file, MAX_KEY)
    try:
        return read(octets)
    except ConfigError as error:
        error.message = f"{file}: {error.message}"
        raise


def keeper(file: Path) -> Keeper:
    """Return who signs documents of the repository with a private key in PEM; ConfigError."""
    from openami.firmware.keys import signer
    from openami.firmware.repository import Keeper

    key = _private(file)
    return Keeper(key.public_key(), signer(key))


def _sign(assembled: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    from openami.firmware.build import sign as sign_image
    from openami.firmware.keys import ImageKey, signer

    return sign_image(assembled, ImageKey(key.public_key()), signer(key))


def _application(
    source: bytes, name: str, version: Version, hardware: tuple[str, ...], trial: int
) -> bytes:
    from openami.firmware.documents import check_token
    from openami.firmware.payload import About, Payload, SelfTest
    from openami.meter.maker import EXPECTED

    try:
        about = About(check_token(name), version, hardware, SelfTest(60, trial, EXPECTED))
        return Payload(about, source).encode()
    except ValueError as error:
        raise ConfigError(str(error), code="config.image") from error


def _dependencies(needs: str | None, depends: tuple[str, ...]) -> tuple[Dependency, ...]:
    from openami.firmware.image import Dependency

    pairs = [one.partition("=") for one in depends]
    if any(not number.isdecimal() or not 0 < int(number) < 256 for number, _, _ in pairs):
        raise ConfigError("--depends wants IMAGE=VERSION, such as 1=2.0.0", code="config.image")
    others = tuple(Dependency(int(number), _version(text)) for number, _, text in pairs)
    return (() if needs is None else (Dependency(0, _version(needs)),)) + others


def _version(text: str) -> Version:
    from openami.firmware.version import Version

    try:
        return Version.parse(text)
    except DecodeError as error:
        raise ConfigError(f"{text!r}: {error.reason}", code="config.image") from error


def _image_facts(octets: bytes) -> dict[str, Any]:
    from openami.firmware.image import Image

    image = Image.decode(octets)
    return {
        "form": "MCUboot image",
        "version": str(image.version),
        "counter": image.counter,
        "hardware": list(image.hardware),
        "needs": [f"{one.image}={one.version}" for one in image.dependencies],
        "payload_octets": image.payload_size,
        "octets": image.size,
        "hash": image.digest.hex(),
        "hash_right": hashlib.sha256(image.signed).digest() == image.digest,
        "key": image.key_id.hex() or None,
        "sha256": hashlib.sha256(octets).hexdigest(),
        **_payload_facts(image),
    }


def _payload_facts(image: Image) -> dict[str, Any]:
    """Return what an openami meter's application says; other vendors' payloads say nothing."""
    from openami.firmware.payload import Payload

    try:
        about = Payload.of(image).about
    except DecodeError:
        return {}
    test = about.self_test
    return {
        "application": about.identifier,
        "self_test": f"{test.deadline_s} s, then {test.trial_s} s; {counted(len(test.objects), 'object')}",
    }


def _delta_facts(octets: bytes) -> dict[str, Any]:
    from openami.firmware.delta import Head

    head = Head.decode(octets)
    return {
        "form": "delta",
        "source_octets": head.source_size,
        "source": head.source.hex(),
        "result_octets": head.result_size,
        "result": head.result.hex(),
        "octets": len(octets),
    }


def _words(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _read(file: Path, most: int = MAX_FILE) -> bytes:
    with file.open("rb") as source:
        octets = source.read(most + 1)
    if len(octets) > most:
        raise ConfigError(f"{file}: more than {most} octets", code="config.file")
    return octets
