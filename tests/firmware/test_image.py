"""Images: imgtool's are read, ours are imgtool's, and no octet of one can change."""

from __future__ import annotations

import hashlib
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st
from tests.support.firmware import (
    HARDWARE,
    image_key,
    imgtool,
    imgtool_signed,
    make_image,
    private_key,
    private_pem,
    target,
)

from openami.core.errors import ConfigError, DecodeError, SecurityError
from openami.firmware.build import Plan, assemble, sign
from openami.firmware.image import Dependency, Image, version_of
from openami.firmware.keys import ImageKey, signer
from openami.firmware.keys import private_key as read_private_key
from openami.firmware.tlv import PROTECTED, UNPROTECTED, Tlv, TlvType, encode_area
from openami.firmware.verify import check_dependency, check_fit, verify
from openami.firmware.version import Version

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAYLOAD: Final = bytes(range(100))
PLANS: Final = {
    "small": Plan(Version(1, 2, 3), 7, (HARDWARE,)),
    "large": Plan(
        Version(255, 254, 65535, 4_294_967_295),
        0xFFFF_FFFF,
        (HARDWARE,),
        dependencies=(Dependency(1, Version(1, 0, 9, 2)), Dependency(0, Version(1))),
        header_size=0x100,
        others=(Tlv(0x00A1, b"more"),),
    ),
}
OPTIONS: Final = {
    "small": ("--version", "1.2.3", "--security-counter", 7, "--header-size", 32),
    "large": (
        *("--version", "255.254.65535+4294967295", "--security-counter", 0xFFFF_FFFF),
        *("--dependencies", "(1, 1.0.9+2), (0, 1.0.0)", "--header-size", 0x100),
    ),
}
TLVS: Final = {
    "small": ("--custom-tlv", "0x00a0", HARDWARE),
    "large": ("--custom-tlv", "0x00a0", HARDWARE, "--custom-tlv", "0x00a1", "more"),
}
REFUSALS: Final = (DecodeError, SecurityError)


def refusal(data: bytes, *, padded: bool = False) -> str | None:
    """Return the code by which a device refuses these octets."""
    try:
        verify(Image.decode(data, padded=padded), target(), counter=1)
    except REFUSALS as error:
        return error.code
    return None


def resigned(hashed: bytes) -> bytes:
    return sign(hashed, image_key(), signer(private_key()))


@pytest.mark.parametrize("name", PLANS)
def test_what_imgtool_signs_is_read_and_built_again(name: str, tmp_path: Path) -> None:
    """imgtool's command line makes the vector; only ECDSA's chance is taken from it."""
    options = ("--key", private_pem(tmp_path), *OPTIONS[name], *TLVS[name])
    made = imgtool_signed(tmp_path, PAYLOAD, *options)
    image = Image.decode(made)
    plan = PLANS[name]
    verify(image, target(modules={1: Version(1, 0, 9, 2)}), counter=plan.counter)
    assert (image.version, image.counter, image.hardware) == (
        plan.version,
        plan.counter,
        plan.hardware,
    )
    assert (image.dependencies, image.others) == (plan.dependencies, plan.others)
    assert (image.payload, image.header_size) == (PAYLOAD, plan.header_size)
    assert (image.flags, image.load_address, image.size) == (0, 0, len(made))
    assert image.key_id == image_key().id
    assembled = assemble(plan, PAYLOAD)
    assert assembled == image.signed
    assert sign(assembled, image_key(), lambda _: image.signature) == made


@pytest.mark.fums("SEC-1")
@pytest.mark.parametrize("name", PLANS)
def test_imgtool_verifies_what_we_build(name: str, tmp_path: Path) -> None:
    made = tmp_path / "ours.bin"
    made.write_bytes(resigned(assemble(PLANS[name], PAYLOAD)))
    said = imgtool("verify", "--key", private_pem(tmp_path), made)
    assert "Image was correctly validated" in said
    assert hashlib.sha256(assemble(PLANS[name], PAYLOAD)).hexdigest() in said


def test_an_image_of_imgtool_that_nobody_signed_is_refused(tmp_path: Path) -> None:
    made = imgtool_signed(tmp_path, PAYLOAD, *OPTIONS["small"], *TLVS["small"])
    assert Image.decode(made).signature == b""
    assert refusal(made) == "firmware.key"


def test_a_key_that_comes_with_the_image_is_refused(tmp_path: Path) -> None:
    options = ("--key", private_pem(tmp_path), "--public-key-format", "full")
    made = imgtool_signed(tmp_path, PAYLOAD, *options, *OPTIONS["small"], *TLVS["small"])
    assert refusal(made) == "firmware.form"


@pytest.mark.fums("SM-4")
def test_no_bit_of_an_image_can_change() -> None:
    """Each is refused, in a file and in a slot, by the code of the place where it is."""
    good = make_image("1.2.3", payload=b"pay")
    image = Image.decode(good)
    hashed = len(image.signed)
    signature = good.index(image.signature)
    decoding = {f"firmware.{what}" for what in ("magic", "cut", "size", "form", "flags")}
    for place in range(len(good) * 8):
        octet, bit = divmod(place, 8)
        flipped = bytearray(good)
        flipped[octet] ^= 1 << bit
        code = refusal(bytes(flipped))
        slot = bytes(flipped).ljust(1024, b"\xff")
        assert refusal(slot, padded=True) is not None, place
        if octet < hashed:
            assert code in decoding | {"firmware.hash"}, place
        elif octet >= signature:
            assert code == "firmware.signature", place
        else:
            assert code in decoding | {"firmware.hash", "firmware.key"}, place
    assert refusal(good) is None


@pytest.mark.fums("SM-3")
def test_every_cut_image_is_refused() -> None:
    good = make_image("1.2.3")
    for size in range(len(good)):
        assert refusal(good[:size]) == "firmware.cut", size
    assert refusal(good + b"\xff") == "firmware.size"
    assert refusal(good + b"\xff", padded=True) is None


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (lambda: make_image("1.0.0", key="thief"), "firmware.key"),
        (lambda: make_image("1.0.0", hardware=["OA-3P", "OA-3P rev. 2"]), "firmware.hardware"),
        (lambda: make_image("1.0.0", counter=0), "firmware.counter"),
    ],
)
def test_an_image_for_others_is_refused(made: Callable[[], bytes], code: str) -> None:
    assert refusal(made()) == code


def test_an_image_fits_each_hardware_that_it_names() -> None:
    assert refusal(make_image("1.0.0", hardware=["OA-3P", HARDWARE])) is None


@pytest.mark.fums("SM-11")
def test_a_signature_by_another_key_under_our_name_is_refused() -> None:
    assembled = assemble(PLANS["small"], PAYLOAD)
    with pytest.raises(SecurityError) as caught:
        sign(assembled, image_key(), signer(private_key("thief")))
    assert caught.value.code == "firmware.signature"
    digest = hashlib.sha256(assembled).digest()
    entries = (
        Tlv(TlvType.SHA256, digest),
        Tlv(TlvType.KEYHASH, image_key().id),
        Tlv(TlvType.ECDSA_SIG, signer(private_key("thief"))(digest)),
    )
    assert refusal(assembled + encode_area(UNPROTECTED, entries)) == "firmware.signature"


def test_other_images_must_be_new_enough() -> None:
    image = Image.decode(resigned(assemble(PLANS["large"], PAYLOAD)))
    for modules in ({}, {1: Version(1, 0, 9, 1)}, {2: Version(9)}):
        with pytest.raises(SecurityError) as caught:
            check_fit(image, target(modules=modules), counter=0)
        assert caught.value.code == "firmware.dependency"
    check_dependency(image.dependencies[1], Version(1))


def header(**changes: int) -> bytes:
    fields = {"magic": 0x96F3B83D, "load": 0, "size": 32, "protected": 0, "payload": 4, "flags": 0}
    return struct.pack("<IIHHII12x", *(fields | changes).values())


SEAL: Final = encode_area(UNPROTECTED, (Tlv(TlvType.SHA256, bytes(32)),))
MALFORMED: Final = {
    "another magic": (header(magic=1) + b"load" + SEAL, "magic"),
    "a header of 31": (header(size=31) + b"load" + SEAL, "form"),
    "no payload": (header(payload=0) + SEAL, "size"),
    "a payload of 4 GiB": (header(payload=0xFFFF_FFFF) + SEAL, "size"),
    "encrypted": (header(flags=4) + b"load" + SEAL, "flags"),
    "run from RAM": (header(flags=0x20) + b"load" + SEAL, "flags"),
    "a payload beyond the end": (header(payload=4 + len(SEAL) + 1) + b"load" + SEAL, "cut"),
    "nothing behind": (header() + b"load", "cut"),
    "protected without": (header(protected=8) + b"load" + SEAL, "form"),
    "an area of 3": (header() + b"load" + struct.pack("<HH", UNPROTECTED, 3), "form"),
    "an area of one octet": (header() + b"load" + struct.pack("<HHB", UNPROTECTED, 5, 0), "form"),
    "an entry too long": (
        header() + b"load" + struct.pack("<HHHH", UNPROTECTED, 8, 0x10, 1),
        "form",
    ),
    "another area": (header() + b"load" + struct.pack("<HH", 0x6909, 4), "form"),
    "no hash": (header() + b"load" + struct.pack("<HH", UNPROTECTED, 4), "form"),
    "a hash twice": (
        header() + b"load" + encode_area(UNPROTECTED, (Tlv(TlvType.SHA256, bytes(32)),) * 2),
        "form",
    ),
    "a long signature": (
        header()
        + b"load"
        + encode_area(
            UNPROTECTED, (Tlv(TlvType.SHA256, bytes(32)), Tlv(TlvType.ECDSA_SIG, bytes(73)))
        ),
        "form",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name: str) -> None:
    data, code = MALFORMED[name]
    with pytest.raises(DecodeError) as caught:
        Image.decode(data)
    assert caught.value.code == f"firmware.{code}"


@pytest.mark.parametrize(
    "entries",
    [
        (Tlv(TlvType.SEC_CNT, bytes(4)), Tlv(TlvType.SEC_CNT, bytes(4))),
        (Tlv(TlvType.SEC_CNT, bytes(3)),),
        (Tlv(TlvType.DEPENDENCY, bytes(11)),),
        (Tlv(TlvType.HARDWARE, b""),),
        (Tlv(TlvType.HARDWARE, "Zähler".encode()),),
        (Tlv(TlvType.HARDWARE, b"x" * 65),),
    ],
)
def test_malformed_protected_entries(entries: tuple[Tlv, ...]) -> None:
    """Also when a trusted key signed them."""
    area = encode_area(PROTECTED, entries)
    assert refusal(resigned(header(protected=len(area)) + b"load" + area)) == "firmware.form"
    wrong = header(protected=len(area) + 1) + b"load" + area
    assert refusal(resigned(wrong)) == "firmware.form"


def test_an_image_that_says_nothing_of_itself_is_refused() -> None:
    assert refusal(resigned(header() + b"load")) == "firmware.hardware"
    area = encode_area(PROTECTED, (Tlv(TlvType.HARDWARE, HARDWARE.encode()),))
    assert refusal(resigned(header(protected=len(area)) + b"load" + area)) == "firmware.counter"


@given(st.binary(max_size=200), st.binary(max_size=120))
def test_any_octets_are_an_image_or_one_error(head: bytes, tail: bytes) -> None:
    for data in (head, header() + head, header() + b"load" + tail, make_image("1.0.0") + tail):
        for padded in (False, True):
            with suppress(DecodeError):
                image = Image.decode(data, padded=padded)
                assert data.startswith(image.signed)


def test_a_header_tells_the_version_before_all_is_checked() -> None:
    assert version_of(make_image("4.5.6+7")) == Version(4, 5, 6, 7)
    assert version_of(b"\xff" * 64) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"hardware": ()},
        {"hardware": ("ß",)},
        {"hardware": (" x",)},
        {"counter": -1},
        {"counter": 1 << 32},
        {"header_size": 31},
        {"flags": 4},
        {"others": (Tlv(TlvType.SEC_CNT, bytes(4)),)},
    ],
)
def test_a_plan_that_no_device_takes_is_not_made(wrong: dict[str, object]) -> None:
    fields: dict[str, object] = {"version": Version(1), "counter": 1, "hardware": (HARDWARE,)}
    with pytest.raises(ValueError, match=r"wanted|names of hardware"):
        Plan(**(fields | wrong))  # type: ignore[arg-type]  # wrong on purpose


def test_a_payload_that_no_device_takes_is_not_made() -> None:
    with pytest.raises(ValueError, match="payload"):
        assemble(PLANS["small"], b"")
    with pytest.raises(ValueError, match="more entries"):
        assemble(Plan(Version(1), 1, (HARDWARE,), others=(Tlv(0xA1, bytes(0xFFF0)),)), b"x")


def test_versions() -> None:
    assert [str(Version.parse(text)) for text in ("1.2.3", "1.2.3+0", "1.2.3+4")] == [
        "1.2.3",
        "1.2.3",
        "1.2.3+4",
    ]
    ordered = ["0.255.65535", "1.0.0", "1.0.0+1", "1.0.1", "1.1.0", "2.0.0"]
    assert sorted(ordered, key=Version.parse) == ordered
    version = Version(1, 2, 3, 4)
    assert version.encode().hex() == "0102030004000000"
    assert Version.decode(version.encode()) == version


@pytest.mark.parametrize("text", ["", "1", "1.2", "1.2.3.4", "v1.2.3", "256.0.0", "1.0.65536",
                                  "1.0.0+4294967296", "1.0.0+", "-1.0.0", "1.0.0 ", "1.0.٣"])  # fmt: skip
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(DecodeError) as caught:
        Version.parse(text)
    assert caught.value.code == "firmware.version.form"


def test_keys() -> None:
    pem = (
        private_key()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    assert ImageKey.from_pem(pem) == image_key()
    digest = bytes(32)
    assert signer(private_key())(digest) == signer(private_key())(digest)
    assert not image_key().verifies(digest, b"not DER")
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    wrong = other.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for text in (b"", wrong, OTHER_KIND):
        with pytest.raises(ConfigError):
            ImageKey.from_pem(text)
    with pytest.raises(ConfigError):
        ImageKey(other)


def test_private_keys() -> None:
    def pem(key: Any, password: bytes | None = None) -> bytes:
        locked = serialization.BestAvailableEncryption(password) if password else None
        form = serialization.PrivateFormat.PKCS8
        how = locked or serialization.NoEncryption()
        return bytes(key.private_bytes(serialization.Encoding.PEM, form, how))

    ours = ec.derive_private_key(7, ec.SECP256R1())
    assert read_private_key(pem(ours)).public_key() == ours.public_key()
    others = (
        b"",
        OTHER_KIND,
        pem(ours, b"password"),
        pem(ed25519.Ed25519PrivateKey.generate()),
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(ours)[:-40],
    )
    for text in others:
        with pytest.raises(ConfigError) as caught:
            read_private_key(text)
        assert caught.value.code == "config.firmware-key"
        assert caught.value.__cause__ is caught.value.__context__ is None


# RFC 8410 10.1: a public key on Ed25519.
OTHER_KIND: Final = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""
