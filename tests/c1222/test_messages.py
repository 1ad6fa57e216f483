"""Messages: published ones both ways, envelopes, protection and all that is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest
from tests.support.c1222_vectors import MESSAGES, Message, named

from openami.c1222.apdu import Apdu, KeyUse, parts
from openami.c1222.codes import Qualifier, ResponseControl, SecurityMode
from openami.c1222.epsem import Epsem
from openami.c1222.limits import MAX_APDU, MAX_SERVICES
from openami.c1222.security import Keys, canonical, protect, unprotect
from openami.c1222.services import Identify, Write, decode_request
from openami.c1222.stream import MessageReader, split_stream
from openami.c1222.titles import C1222, MECHANISM, ApTitle
from openami.core.errors import DecodeError, LocalProtocolError, SecurityError
from openami.crypto.eax import EaxPrime

METER: Final = ApTitle.parse(".123.8437")
SERVER: Final = ApTitle.parse(".123.4")
KEY: Final = bytes(range(16))
KEYS: Final = Keys({7: KEY})
USE: Final = KeyUse.at(7, 1_774_742_400.5)
EVERY: Final = Apdu(
    0xFFFF_FFFF,
    SERVER.absolute(),
    METER,
    3,
    Qualifier.NOTIFICATION | Qualifier.URGENT,
    USE,
    context=C1222,
    mechanism=MECHANISM,
)
SERVICES: Final = (Identify().encode(), Write(5, b"text").encode())


@pytest.mark.parametrize("message", MESSAGES, ids=named)
def test_vectors_both_ways(message: Message) -> None:
    opened = unprotect(message.raw, message.keys)
    apdu, epsem = opened.apdu, opened.epsem
    found = {
        "mode": epsem.mode,
        "called": str(apdu.called),
        "calling": str(apdu.calling),
        "invocation_id": apdu.invocation_id,
        "answers": apdu.answers,
    }
    assert found == message.fields
    assert epsem.body() == message.body
    assert apdu.encode() == message.raw
    assert protect(replace(apdu, information=b""), epsem, message.keys) == message.raw
    for size in range(len(message.raw)):
        with pytest.raises(DecodeError):
            Apdu.decode(message.raw[:size])


@pytest.mark.parametrize("message", [m for m in MESSAGES if m.fields["mode"]], ids=named)
def test_any_changed_bit_of_a_protected_vector_is_refused(message: Message) -> None:
    for bit in range(len(message.raw) * 8):
        changed = bytearray(message.raw)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((DecodeError, SecurityError)):
            assert unprotect(bytes(changed), message.keys).epsem.mode is not SecurityMode.CLEAR


def test_the_published_services() -> None:
    security, read = unprotect(MESSAGES[0].raw, MESSAGES[0].keys).epsem.services
    assert repr(decode_request(security)) == "Security(user_id=2)"
    assert repr(decode_request(read)) == "ReadOffset(table=1, offset=16, count=16)"


@pytest.mark.parametrize("mode", SecurityMode)
@pytest.mark.parametrize("ed_class", [None, b"TEMP"])
def test_every_field_both_ways(mode: SecurityMode, ed_class: bytes | None) -> None:
    epsem = Epsem(SERVICES, mode, ResponseControl.NEVER, ed_class, recovery=True, proxy=True)
    raw = protect(EVERY, epsem, KEYS)
    opened = unprotect(raw, KEYS)
    assert opened.epsem == epsem
    assert replace(opened.apdu, information=b"") == EVERY
    assert opened.key == (USE if mode else None)
    assert (b"text" in raw) == (mode is not SecurityMode.ENCRYPTED)
    assert (b"TEMP" in raw) == (mode is not SecurityMode.ENCRYPTED and ed_class is not None)


def test_a_relay_may_write_titles_in_the_other_form() -> None:
    """What is authenticated has absolute titles, whatever the message has."""
    epsem = Epsem(SERVICES, SecurityMode.ENCRYPTED)
    raw = protect(Apdu(1, METER, SERVER, key=USE), epsem, KEYS)
    apdu = Apdu.decode(raw)
    longer = replace(apdu, called=METER.absolute(), calling=SERVER.absolute()).encode()
    assert unprotect(longer, KEYS).epsem == epsem
    with pytest.raises(SecurityError):
        unprotect(replace(apdu, called=SERVER).encode(), KEYS)


def test_a_message_of_a_session_may_leave_its_key_out() -> None:
    epsem = Epsem(SERVICES, SecurityMode.AUTHENTICATED)
    draft = Apdu(1, METER, SERVER, information=bytes((epsem.control,)) + epsem.body() + bytes(4))
    raw = draft.encode()
    at = len(raw) - len(epsem.body()) - 4
    raw = raw[:at] + EaxPrime(KEY).sign(canonical(raw, parts(raw), at, USE), epsem.body())
    assert unprotect(raw, KEYS, remembered=USE).key == USE
    for remembered in (None, KeyUse(7, bytes(4)), KeyUse(8, USE.iv)):
        with pytest.raises(SecurityError):
            unprotect(raw, KEYS, remembered=remembered)


def test_what_is_open_to_forgery_is_refused_before_any_cipher_runs() -> None:
    """A message without titles and key has one block of cleartext where its lengths are short."""
    apdu = bytes.fromhex("6012a803020101be0b2809810788000000000000")
    assert Apdu.decode(apdu).calling is None
    with pytest.raises(SecurityError):
        unprotect(apdu, KEYS, remembered=USE)


@pytest.mark.parametrize(
    "change",
    [
        *({"called": None}, {"calling": None}, {"key": None}, {"key": KeyUse(256, b"four")}),
        *({"key": KeyUse(7, b"three")}, {"invocation_id": -1}, {"answers": 1 << 32}),
    ],
)
def test_nothing_is_protected_that_lacks_its_names(change: dict[str, Any]) -> None:
    keys = Keys({7: KEY, 256: KEY})
    with pytest.raises(LocalProtocolError):
        protect(replace(EVERY, **change), Epsem(SERVICES, SecurityMode.ENCRYPTED), keys)


def test_keys() -> None:
    assert 7 in KEYS
    assert repr(KEYS) == "Keys([7])"
    with pytest.raises(SecurityError) as caught:
        protect(replace(EVERY, key=KeyUse(1, bytes(4))), Epsem((), SecurityMode.ENCRYPTED), KEYS)
    assert caught.value.code == "security.key-id"
    assert USE.time == 1_774_742_400


@pytest.mark.parametrize(
    "epsem",
    [Epsem((b"",)), Epsem((b"x",) * (MAX_SERVICES + 1)), Epsem((), ed_class=b"five!")],
)
def test_no_epsem_to_write(epsem: Epsem) -> None:
    with pytest.raises(LocalProtocolError):
        protect(EVERY, epsem)


def test_a_message_has_a_most() -> None:
    with pytest.raises(LocalProtocolError):
        protect(EVERY, Epsem((bytes(MAX_APDU),)))
    with pytest.raises(DecodeError):
        Apdu.decode(bytes(MAX_APDU + 1))


def test_services_end_at_a_length_of_zero() -> None:
    head, body = b"\x80", b"\x01\x20\x00padding"
    opened = unprotect(replace(EVERY, information=head + body).encode())
    assert opened.epsem.services == (b"\x20",)


ID: Final = "a803020101"
INFORMATION: Final = "be0728058103800120"


def test_no_message_without_its_tag() -> None:
    for octets in (b"", b"\x61\x00"):
        with pytest.raises(DecodeError):
            Apdu.decode(octets)


@pytest.mark.parametrize("wrong", [-1, 1])
def test_the_length_is_that_of_the_message(wrong: int) -> None:
    body = bytes.fromhex(ID + INFORMATION)
    Apdu.decode(bytes((0x60, len(body))) + body)
    with pytest.raises(DecodeError, match="length is not that"):
        Apdu.decode(bytes((0x60, len(body) + wrong)) + body)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (ID, "user information wanted"),
        (INFORMATION, "an invocation id"),
        (INFORMATION + ID, "no field A8 here"),
        (ID + ID + INFORMATION, "no field A8 here"),
        ("a503020101" + ID + INFORMATION, "no field A5 here"),
        ("a203860101" + ID + INFORMATION, "no tag 86"),
        ("a2030d0101" + ID + INFORMATION, "no tag 0D"),
        ("a203800181" + ID + INFORMATION, "cut off"),
        ("a2028000" + ID + INFORMATION, "1 to 64 octets"),
        ("a20480010101" + ID + INFORMATION, "1 octets too many"),
        ("a303020130" + ID + INFORMATION, "where it begins"),
        ("a807020500000000ff" + INFORMATION, "1 to 4 octets"),
        (ID + "be0628048100" + "ff00", "octets too many"),
        (ID + "be0428020400", "81 wanted"),
        (ID + "be022800", "0 left"),
        (ID + "be0427028100", "28 wanted"),
        (ID + "be06280481018100", "octets too many"),
        ("a10406028001" + ID + INFORMATION, "begins with zeros"),
        (ID + "8b00" + INFORMATION, "1 to 64 octets"),
        (ID + "ac0fa20da00ba009800102810448f3d061" + INFORMATION, "A1 wanted, A0 found"),
        (ID + "ac0fa20da00ba109800102820448f3d061" + INFORMATION, "81 wanted, 82 found"),
        (ID + "ac10a20ea00ca10a80020002810448f3d061" + INFORMATION, "id of 1 octet"),
        (ID + "ac0ea20ca00aa108800102810348f3d0" + INFORMATION, "4 octets of its use"),
        (ID + "ac02a200" + INFORMATION, "0 left"),
    ],
)
def test_no_messages(body: str, why: str) -> None:
    content = bytes.fromhex(body)
    with pytest.raises(DecodeError, match=why):
        Apdu.decode(bytes((0x60, len(content))) + content)


def test_a_key_may_have_an_indirect_reference() -> None:
    octets = bytes.fromhex(
        "6022a803020101ac12a210020100a00ba109800102810448f3d061be0728058103800120"
    )
    assert Apdu.decode(octets).key == KeyUse(2, bytes.fromhex("48f3d061"))


@pytest.mark.parametrize(
    "information",
    ["", "00", "83", "8c", "800220", "90414243", "80" + "0120" * 65],
    ids=["empty", "reserved", "respond 3", "mode 3", "cut service", "cut class", "too many"],
)
def test_no_epsem(information: str) -> None:
    raw = replace(EVERY, information=bytes.fromhex(information)).encode()
    with pytest.raises(DecodeError):
        unprotect(raw)


def test_a_segment_is_no_message() -> None:
    raw = replace(EVERY, information=b"\x80", total=500, reference=0).encode()
    assert Apdu.decode(raw).total == 500
    with pytest.raises(DecodeError):
        unprotect(raw)


# -- streams --------------------------------------------------------------------------------------


def test_any_slices_of_a_stream() -> None:
    whole = [message.raw for message in MESSAGES] + [protect(EVERY, Epsem((bytes(70_000),)))]
    stream = b"".join(whole)
    for size in (1, 2, 3, 7, 100, len(stream)):
        reader = MessageReader()
        found: list[bytes] = []
        step = size if size > 3 else 997  # octet by octet at the beginning, where the heads are
        at = 0
        while at < len(stream):
            end = at + (size if at < 600 else step)
            found += reader.feed(stream[at:end])
            at = end
        assert found == whole
        assert not reader.pending


@pytest.mark.parametrize("head", ["61", "6080", "6085", "608400040001", "6083040001"])
def test_no_streams(head: str) -> None:
    reader = MessageReader()
    with pytest.raises(DecodeError):
        reader.feed(bytes.fromhex(head))


def test_a_stream_keeps_no_more_than_a_message() -> None:
    reader = MessageReader(100)
    assert reader.feed(bytes.fromhex("6062")) == []
    assert reader.pending
    with pytest.raises(DecodeError):
        MessageReader(100).feed(bytes.fromhex("6063"))


def test_what_a_run_of_octets_is_made_of() -> None:
    whole = [message.raw for message in MESSAGES[:3]]
    assert split_stream(b"".join(whole)) == whole
    for cut in (whole[0][:-1], whole[0] + b"\x00", b"\x61"):
        assert split_stream(cut) == [cut]
