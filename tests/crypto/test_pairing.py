"""SPAKE2 and the proofs around it: a published vector, and everything that must not work."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final

import pytest
from spake2 import SPAKE2_A, SPAKE2_B

from openami.core.errors import SecurityError
from openami.crypto.gcm import Gcm
from openami.crypto.pairing import MESSAGE_SIZE, Pairing

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.crypto.pairing import Agreed

CODE = b"12345678"
DISPLAY, METER = b"OAM\0\0\0\0\1", b"OAM\0\0\0\0\2"

# RustCrypto's crate spake2, src/tests.rs, test_asymmetric: made with the Python library.
X: Final = 2611694063369306139794446498317402240796898290761098242657700742213257926693
Y: Final = 7002393159576182977806091886122272758628412261510164356026361256515836884383
X_MESSAGE: Final = "416fc960df73c9cf8ed7198b0c9534e2e96a5984bfc5edc023fd24dacf371f2af9"
Y_MESSAGE: Final = "42354e97b88406922b1df4bea1d7870f17aed3dba7c720b313edae315b00959309"
KEY: Final = "712295de7219c675ddd31942184aa26e0a957cf216bc230d165b215047b520c1"

# Our own, as docs/explanation/home-port.md has them: X and Y as above, the code and the titles below,
# and the context "Kitchen".
OURS: Final = {
    "display": "414da855ee4c5146b6afd1afe2bcadc825442cd336e96293aa589b1b5c7dabaaa4",
    "meter": "42ff894fea3b642d0465d4ec4470be277807efb15d1abe5c1b4121093b830d9944",
    "first": "06fde43fb314c2b2857c33da10187536339fc7c1ef9a30386363fe30708b2389",
    "second": "cf68ee8e0c7b2b7d28845719c1e22ccb9faaad04b6e52697f655a90d156ccd35",
    "sealed": "02949535ee10f0451b015b82cf0e941152",
}
KITCHEN: Final = b"Kitchen"
OTHERS: Final = 0x5EED


def scalar(number: int) -> Callable[[int], bytes]:
    """Return a source that gives one scalar."""
    return lambda count: number.to_bytes(count, "big")


def sides(
    code: bytes = CODE, other: bytes = CODE, first: bytes = DISPLAY, second: bytes = METER
) -> tuple[Pairing, Pairing]:
    return (
        Pairing(code, first, second, begins=True, octets=scalar(X)),
        Pairing(other, DISPLAY, METER, begins=False, octets=scalar(Y)),
    )


def agreed(display: Pairing, meter: Pairing, context: bytes = KITCHEN) -> tuple[Agreed, Agreed]:
    return display.agree(meter.message, context), meter.agree(display.message, KITCHEN)


def test_the_library_makes_the_published_vector() -> None:
    """Whoever builds a display in another language has this to begin with."""
    first = SPAKE2_A(b"password", b"idA", b"idB", entropy_f=scalar(X))
    second = SPAKE2_B(b"password", b"idA", b"idB", entropy_f=scalar(Y))
    assert (first.start().hex(), second.start().hex()) == (X_MESSAGE, Y_MESSAGE)
    assert first.finish(bytes.fromhex(Y_MESSAGE)).hex() == KEY
    assert second.finish(bytes.fromhex(X_MESSAGE)).hex() == KEY


def test_both_sides_make_our_own_vector() -> None:
    display, meter = sides()
    first, second = agreed(display, meter)
    found = {
        "display": display.message.hex(),
        "meter": meter.message.hex(),
        "first": first.first.hex(),
        "second": second.second.hex(),
        "sealed": second.seal(b"place").hex(),
    }
    assert found == OURS
    assert first == second
    first.check_second(bytes.fromhex(OURS["second"]))
    second.check_first(bytes.fromhex(OURS["first"]))
    assert first.open(bytes.fromhex(OURS["sealed"])) == b"place"


def test_proofs_are_made_as_the_page_says() -> None:
    """HKDF (RFC 5869) and HMAC by hand, over what is documented."""
    machine = SPAKE2_A(CODE, DISPLAY, METER, entropy_f=scalar(X))
    machine.start()
    key = machine.finish(bytes.fromhex(OURS["meter"]))
    label = b"openami home pairing 1"
    extracted = hmac.digest(bytes(32), key, hashlib.sha256)
    block, stream = b"", b""
    for number in (1, 2, 3):
        block = hmac.digest(extracted, block + label + bytes((number,)), hashlib.sha256)
        stream += block
    messages = bytes.fromhex(OURS["display"]), bytes.fromhex(OURS["meter"])
    parts = (label, DISPLAY, METER, *messages, KITCHEN)
    said = b"".join(len(part).to_bytes(2, "big") + part for part in parts)
    assert hmac.digest(stream[:32], said, hashlib.sha256).hex() == OURS["first"]
    assert hmac.digest(stream[32:64], said, hashlib.sha256).hex() == OURS["second"]
    assert Gcm(stream[64:]).seal(bytes(12), b"place", label).hex() == OURS["sealed"]


@pytest.mark.parametrize(
    ("changes", "context"),
    [
        ({"code": b"12345679"}, KITCHEN),
        ({"first": METER}, KITCHEN),
        ({"second": DISPLAY}, KITCHEN),
        ({}, b"Hall"),
    ],
    ids=["another code", "another display", "another meter", "another name"],
)
def test_what_differs_between_them_makes_both_proofs_wrong(
    changes: dict[str, bytes], context: bytes
) -> None:
    first, second = agreed(*sides(**changes), context)
    with pytest.raises(SecurityError) as caught:
        second.check_first(first.first)
    assert caught.value.code == "security.pairing"
    with pytest.raises(SecurityError):
        first.check_second(second.second)
    if context != b"Hall":  # a name is not in the key, but nothing is opened before the proof
        with pytest.raises(SecurityError):
            first.open(second.seal(b"place"))


def test_one_proof_is_not_the_other() -> None:
    first, second = agreed(*sides())
    with pytest.raises(SecurityError):
        first.check_second(first.first)
    with pytest.raises(SecurityError):
        second.check_first(second.second)


def test_who_sits_between_and_has_no_code_convinces_nobody() -> None:
    """The one in the middle answers each side with messages of its own, under a code it guesses."""
    display, meter = sides()
    to_display = Pairing(b"00000000", DISPLAY, METER, begins=False, octets=scalar(OTHERS))
    to_meter = Pairing(b"00000000", DISPLAY, METER, begins=True, octets=scalar(OTHERS))
    shown = display.agree(to_display.message, KITCHEN)
    heard = meter.agree(to_meter.message, KITCHEN)
    with pytest.raises(SecurityError):
        heard.check_first(shown.first)
    with pytest.raises(SecurityError):
        heard.check_first(to_meter.agree(meter.message, KITCHEN).first)
    with pytest.raises(SecurityError):
        shown.check_second(to_display.agree(display.message, KITCHEN).second)


def test_a_proof_of_before_is_worth_nothing() -> None:
    first, _ = agreed(*sides())
    again = Pairing(CODE, DISPLAY, METER, begins=False, octets=scalar(OTHERS))
    fresh = again.agree(bytes.fromhex(OURS["display"]), KITCHEN)
    with pytest.raises(SecurityError):
        fresh.check_first(first.first)


@pytest.mark.parametrize("place", range(32))
def test_every_octet_of_a_proof_counts(place: int) -> None:
    first, second = agreed(*sides())
    for check, proof in ((second.check_first, first.first), (first.check_second, second.second)):
        wrong = bytearray(proof)
        wrong[place] ^= 1
        for other in (bytes(wrong), proof[:place], proof + proof[:1]):
            with pytest.raises(SecurityError):
                check(other)


NEUTRAL: Final = "01" + "00" * 31
LOW_ORDER: Final = "ec" + "ff" * 30 + "7f"  # (0, -1), of order 2
OFF: Final = "02" + "00" * 31


@pytest.mark.parametrize("point", [NEUTRAL, LOW_ORDER, OFF])
@pytest.mark.parametrize("side", ["41", "42", "53"])
def test_what_is_no_message_is_refused(side: str, point: str) -> None:
    for each in sides():
        with pytest.raises(SecurityError) as caught:
            each.agree(bytes.fromhex(side + point))
        assert caught.value.code == "security.pairing"


def test_our_own_message_sent_back_is_refused() -> None:
    for each in sides():
        for side in (b"A", b"B"):
            fresh = sides()[each.message[:1] == b"B"]
            with pytest.raises(SecurityError):
                fresh.agree(side + each.message[1:])


@pytest.mark.parametrize("size", [*range(MESSAGE_SIZE), MESSAGE_SIZE + 1])
def test_a_message_of_another_length_is_refused(size: int) -> None:
    display, meter = sides()
    with pytest.raises(SecurityError):
        display.agree((meter.message + b"\0")[:size])


def test_secrets_are_not_shown() -> None:
    first, _ = agreed(*sides())
    assert repr(first) == "Agreed()"
    assert "12345678" not in repr(sides()[0])
