"""Ciphering, HLS with GMAC, policies, invocation counters."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openami.core.errors import LocalProtocolError, SecurityError
from openami.dlms.apdu import decode_apdu
from openami.dlms.apdu.ciphered import CipheredApdu, Form
from openami.dlms.apdu.initiate import InitiateRequest
from openami.dlms.invocation import MAX_COUNTER, CounterAllocator, ReplayGuard
from openami.dlms.security import (
    AUTHENTICATED,
    BOTH,
    ENCRYPTED,
    NOTHING,
    Keys,
    SecurityControl,
    Unprotected,
    check_hls_pass,
    check_policy,
    hls_pass,
    protect,
    required_control,
    unprotect,
)

h = bytes.fromhex

# The keys, titles and counter of the Green Book's examples of ciphering and of HLS with GMAC.
KEYS = Keys(guek=bytes(range(16)), gak=bytes(range(0xD0, 0xE0)))
SERVER = h("4D4D4D0000BC614E")
CLIENT = h("4D4D4D0000000001")
COUNTER = 0x01234567
GET = h("C0010000080000010000FF0200")
INITIATE = h("0101100011 2233445566778899AABBCCDDEEFF 0000065F1F0400007E1F04B0".replace(" ", ""))
INITIATE_BOTH = (
    "21303001234567 801302FF8A7874133D414CED25B42534D28DB0047720606B175BD52211BE68"
    "41DB204D39EE6FDB8E356855"
)

VECTORS = [
    (
        "authentication only",
        AUTHENTICATED,
        GET,
        "C81E1001234567 C0010000080000010000FF0200 06725D910F9221D263877516",
    ),
    ("encryption only", ENCRYPTED, GET, "C8122001234567 411312FF935A47566827C467BC"),
    (
        "both",
        BOTH,
        GET,
        "C81E3001234567 411312FF935A47566827C467BC 7D825C3BE4A77C3FCC056B6B",
    ),
    (
        "initiate-request",
        BOTH,
        INITIATE,
        INITIATE_BOTH,
    ),
    (
        "initiate-response",
        BOTH,
        h("0800065F1F0400007C1F04000007"),
        "281F3001234567 891214A0845E475714383F65BC19745CA235906525E4F3E1C893",
    ),
]


def cipher(message: bytes) -> CipheredApdu:
    apdu = decode_apdu(message)
    assert isinstance(apdu, CipheredApdu)
    return apdu


@pytest.mark.fums("SEC-1")
@pytest.mark.parametrize(
    ("control", "plain", "ciphered"), [v[1:] for v in VECTORS], ids=[v[0] for v in VECTORS]
)
def test_vectors_both_ways(control: SecurityControl, plain: bytes, ciphered: str) -> None:
    octets = protect(plain, KEYS, control=control, title=SERVER, counter=COUNTER)
    assert octets == h(ciphered)
    found = unprotect(cipher(h(ciphered)), KEYS, title=SERVER)
    assert found == Unprotected(plain, control, COUNTER, Form.GLOBAL, SERVER)


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("control", [NOTHING, AUTHENTICATED, ENCRYPTED, BOTH])
def test_every_form_there_and_back(form: Form, control: SecurityControl) -> None:
    keys = Keys(guek=KEYS.guek, gak=KEYS.gak, dedicated=b"D" * 16)
    octets = protect(GET, keys, control=control, title=SERVER, counter=7, form=form)
    found = unprotect(cipher(octets), keys, title=None if form.general else SERVER)
    assert (found.apdu, found.counter, found.form, found.title) == (GET, 7, form, SERVER)


def test_keys_by_form_and_broadcast_bit() -> None:
    keys = Keys(guek=b"U" * 16, gak=b"A" * 16, dedicated=b"D" * 16, gbek=b"B" * 16)
    broadcast = SecurityControl.of(authenticated=True, encrypted=True, broadcast=True)
    assert keys.encryption(BOTH, Form.GLOBAL) == keys.guek
    assert keys.encryption(BOTH, Form.GENERAL_DEDICATED) == keys.dedicated
    assert keys.encryption(broadcast, Form.GENERAL_GLOBAL) == keys.gbek
    assert broadcast.octet == 0x70
    octets = protect(GET, keys, control=broadcast, title=SERVER, counter=1)
    assert unprotect(cipher(octets), keys, title=SERVER).apdu == GET
    with pytest.raises(SecurityError, match="broadcast encryption key is not known"):
        unprotect(cipher(octets), KEYS, title=SERVER)


def test_suite_2_has_longer_keys() -> None:
    keys = Keys(guek=bytes(32), gak=bytes(range(32)))
    control = SecurityControl.of(authenticated=True, encrypted=True, suite=2)
    octets = protect(GET, keys, control=control, title=SERVER, counter=1)
    assert unprotect(cipher(octets), keys, title=SERVER).apdu == GET
    with pytest.raises(SecurityError, match="none of suite 2"):
        unprotect(cipher(octets), KEYS, title=SERVER)


def refused(message: CipheredApdu, keys: Keys = KEYS, title: bytes | None = SERVER) -> str:
    with pytest.raises(SecurityError) as caught:
        unprotect(message, keys, title=title)
    return caught.value.code


def test_refusals() -> None:
    both = cipher(h(VECTORS[2][3]))

    def changed(**fields: object) -> CipheredApdu:
        base = {
            "tag": both.tag,
            "security_control": both.security_control,
            "invocation_counter": both.invocation_counter,
            "payload": both.payload,
            "title": None,
        }
        return CipheredApdu(**{**base, **fields})  # type: ignore[arg-type]  # fields by name

    assert refused(both, title=CLIENT) == "security.tag"
    assert refused(both, title=None) == "security.title"
    assert refused(both, title=b"short") == "security.title"
    assert refused(both, keys=Keys(guek=KEYS.guek)) == "security.key"
    assert refused(both, keys=Keys(gak=KEYS.gak)) == "security.key"
    assert refused(changed(invocation_counter=1)) == "security.tag"
    assert refused(changed(payload=both.payload[:11])) == "security.tag"
    assert refused(changed(payload=b"", security_control=0x10)) == "security.tag"
    assert refused(changed(security_control=0xB0)) == "security.compression"
    assert refused(changed(security_control=0x33)) == "security.suite"
    assert refused(changed(security_control=0x31)) == "security.tag"
    assert refused(changed(tag=0xC9)) == "security.content"
    assert refused(changed(tag=0xD0)) == "security.key"
    assert refused(changed(security_control=0x20, payload=b"")) == "security.content"
    general = changed(tag=0xDB, title=SERVER)
    assert refused(general, title=CLIENT) == "security.title"
    assert unprotect(general, KEYS).apdu == GET
    assert unprotect(changed(tag=0xDB, title=b""), KEYS, title=SERVER).apdu == GET


@given(st.integers(0, 8 * 30 - 1))
@settings(max_examples=80, deadline=None)
def test_any_changed_bit_of_content_is_refused(bit: int) -> None:
    """Every bit after the tag and the length is covered: control, counter, text, tag."""
    octets = bytearray(h(VECTORS[2][3]))
    octets[2 + bit // 8] ^= 1 << bit % 8
    with pytest.raises(SecurityError):
        check_policy(unprotect(cipher(bytes(octets)), KEYS, title=SERVER).control, 3)


def test_what_can_not_be_ciphered() -> None:
    for apdu in (b"", b"\xd8\x01\x01"):
        with pytest.raises(LocalProtocolError, match="has no form glo"):
            protect(apdu, KEYS, control=BOTH, title=SERVER, counter=1)
    octets = protect(
        b"\xd8\x01\x01", KEYS, control=BOTH, title=SERVER, counter=1, form=Form.GENERAL_GLOBAL
    )
    assert unprotect(cipher(octets), KEYS).apdu == b"\xd8\x01\x01"


def test_keys_of_other_sizes() -> None:
    with pytest.raises(SecurityError) as caught:
        Keys(guek=b"short")
    assert caught.value.code == "security.key"


def test_no_key_is_in_a_repr_or_an_error() -> None:
    keys = Keys(b"0123456789abcdef", b"ABCDEFGHIJKLMNOP", b"q" * 16, b"z" * 16)
    texts = [repr(keys), str(keys)]
    with pytest.raises(SecurityError) as caught:
        unprotect(CipheredApdu(0xC8, 0x30, 1, bytes(20)), keys, title=SERVER)
    texts.append(repr(caught.value))
    found = Unprotected(INITIATE, BOTH, 1, Form.GLOBAL, SERVER)
    texts.append(repr(found))
    texts.append(repr(InitiateRequest.__name__))
    for secret in (b"0123456789abcdef", b"ABCDEFGHIJKLMNOP", b"q" * 16, INITIATE[3:19]):
        for text in texts:
            assert secret.decode("latin-1") not in text
            assert repr(secret) not in text
            assert secret.hex() not in text


def test_hls_vectors() -> None:
    """Pass 3 of the client over StoC, pass 4 of the server over CtoS."""
    third = hls_pass(b"P6wRJ21F", KEYS, title=CLIENT, counter=1)
    assert third == h("10 00000001 1A52FE7DD3E72748973C1E28")
    assert check_hls_pass(third, b"P6wRJ21F", KEYS, title=CLIENT) == 1
    fourth = hls_pass(b"K56iVagY", KEYS, title=SERVER, counter=COUNTER)
    assert fourth == h("10 01234567 FE1466AFB3DBCD4F9389E2B7")
    assert check_hls_pass(fourth, b"K56iVagY", KEYS, title=SERVER) == COUNTER


def test_hls_with_suite_2() -> None:
    keys = Keys(guek=bytes(32), gak=bytes(range(32)))
    answer = hls_pass(b"challenge", keys, title=CLIENT, counter=9, suite=2)
    assert answer[0] == 0x12
    assert check_hls_pass(answer, b"challenge", keys, title=CLIENT) == 9


@pytest.mark.parametrize(
    ("answer", "challenge", "title"),
    [
        ("10 00000001 1A52FE7DD3E72748973C1E29", b"P6wRJ21F", CLIENT),
        ("10 00000001 1A52FE7DD3E72748973C1E28", b"P6wRJ21G", CLIENT),
        ("10 00000001 1A52FE7DD3E72748973C1E28", b"P6wRJ21F", SERVER),
        ("10 00000002 1A52FE7DD3E72748973C1E28", b"P6wRJ21F", CLIENT),
        ("30 00000001 1A52FE7DD3E72748973C1E28", b"P6wRJ21F", CLIENT),
        ("00 00000001 1A52FE7DD3E72748973C1E28", b"P6wRJ21F", CLIENT),
        ("50 00000001 1A52FE7DD3E72748973C1E28", b"P6wRJ21F", CLIENT),
        ("10 00000001 1A52FE7DD3E72748973C1E", b"P6wRJ21F", CLIENT),
        ("", b"P6wRJ21F", CLIENT),
    ],
)
def test_hls_refuses(answer: str, challenge: bytes, title: bytes) -> None:
    with pytest.raises(SecurityError) as caught:
        check_hls_pass(h(answer), challenge, KEYS, title=title)
    assert caught.value.code == "security.hls"


def test_hls_without_keys() -> None:
    with pytest.raises(SecurityError) as caught:
        check_hls_pass(h("10 00000001") + bytes(12), b"x", Keys(), title=CLIENT)
    assert caught.value.code == "security.key"
    with pytest.raises(SecurityError) as caught:
        hls_pass(b"x", KEYS, title=b"", counter=1)
    assert caught.value.code == "security.title"


def test_security_control() -> None:
    control = SecurityControl(0xF2)
    assert control.suite == 2
    assert control.compressed
    assert control.broadcast
    assert str(control) == "authenticated, encrypted, broadcast key, compressed, suite 2"
    assert str(NOTHING) == "suite 0"
    assert BOTH.covers(AUTHENTICATED)
    assert BOTH.covers(NOTHING)
    assert not ENCRYPTED.covers(AUTHENTICATED)
    assert not AUTHENTICATED.covers(BOTH)


@pytest.mark.parametrize(
    ("policy", "good", "bad"),
    [
        (0, [NOTHING, AUTHENTICATED, ENCRYPTED, BOTH], []),
        (1, [AUTHENTICATED, BOTH], [NOTHING, ENCRYPTED]),
        (2, [ENCRYPTED, BOTH], [NOTHING, AUTHENTICATED]),
        (3, [BOTH], [NOTHING, AUTHENTICATED, ENCRYPTED]),
    ],
)
def test_policies(policy: int, good: list[SecurityControl], bad: list[SecurityControl]) -> None:
    assert required_control(policy) in good
    for control in good:
        check_policy(control, policy)
    for control in bad:
        with pytest.raises(SecurityError) as caught:
            check_policy(control, policy)
        assert caught.value.code == "security.policy"


def test_there_is_no_policy_4() -> None:
    with pytest.raises(SecurityError, match="no security policy 4"):
        required_control(4)


def test_counters_are_accepted_once_and_upwards() -> None:
    guard = ReplayGuard()
    guard.accept(0)
    guard.accept(5)
    for counter in (5, 4, 0):
        with pytest.raises(SecurityError) as caught:
            guard.accept(counter)
        assert caught.value.code == "security.replay"
    assert guard.last == 5
    guard.accept(MAX_COUNTER)
    with pytest.raises(SecurityError):
        guard.accept(MAX_COUNTER)


@given(st.lists(st.one_of(st.integers(1, 5), st.just(0)), max_size=40))
@settings(max_examples=60, deadline=None)
def test_no_counter_is_given_out_twice_over_restarts(steps: list[int]) -> None:
    """0 is a power cut: what was persisted is all that is left."""
    given_out: list[int] = []
    persisted = 0
    counters = CounterAllocator(persisted)
    for step in steps:
        if step == 0:
            counters = CounterAllocator(persisted)
            continue
        for _ in range(step):
            if counters.next >= counters.reserved:
                persisted = counters.reserve(3)
            given_out.append(counters.take())
    assert len(set(given_out)) == len(given_out)
    assert given_out == sorted(given_out)


def test_nothing_is_taken_that_was_not_reserved() -> None:
    counters = CounterAllocator()
    with pytest.raises(LocalProtocolError):
        counters.take()
    assert counters.reserve(1) == 1
    assert counters.take() == 0
    assert counters.reserve(5) == 6
    assert counters.reserve(2) == 6


def test_the_last_counter() -> None:
    counters = CounterAllocator(MAX_COUNTER)
    assert counters.reserve(100) == MAX_COUNTER + 1
    assert counters.take() == MAX_COUNTER
    counters.reserve(1)
    with pytest.raises(SecurityError) as caught:
        counters.take()
    assert caught.value.code == "security.counter"
