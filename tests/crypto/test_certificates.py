"""Certificates: what is built verifies, and nothing else does."""

from __future__ import annotations

import contextlib
from base64 import b64encode
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from tests.support.hardware import hardware_of

from openami.core.clock import utc
from openami.core.errors import ConfigError, SecurityError
from openami.crypto import certificates as c
from openami.crypto.chains import MAX_CHAIN, Trust, verify
from openami.crypto.hardware import HardwareModule
from openami.crypto.requests import MAX_REQUEST, make_request, read_request, requested_key
from openami.crypto.revocation import ReadList, Revoked, load_crl, make_crl

NOW = 1_800_000_000.0
SPAN = c.Validity(NOW - 3600, NOW + 86_400)
LONG = c.Validity(NOW - 86_400, NOW + 10 * 86_400)
KEY = ec.generate_private_key(ec.SECP256R1())
HARDWARE = HardwareModule("1.3.6.1.4.1.55555.2.1", b"OA1-100 000017")


def make_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


ROOT = c.make_root("Root", make_key(), serial=1, validity=LONG)
DEVICES = c.make_authority(ROOT, "Devices", make_key(), serial=2, validity=LONG)
LDEVID = c.issue_ldevid(
    DEVICES, "D1", "urn:openami:dcu:D1", KEY.public_key(), serial=3, validity=SPAN
)
IDEVID = c.issue_idevid(DEVICES, "D1", HARDWARE, KEY.public_key(), serial=4, start=NOW - 10)
SERVER = c.issue_server(
    DEVICES, ["head-end.example", "10.0.0.1"], KEY.public_key(), serial=5, validity=SPAN
)
TRUST = Trust((ROOT.certificate,))
CLIENT = c.Purpose.CLIENT


def refused(
    leaf: x509.Certificate,
    trust: Trust = TRUST,
    *,
    now: float = NOW,
    purpose: c.Purpose = CLIENT,
    others: tuple[x509.Certificate, ...] = (DEVICES.certificate,),
) -> str:
    with pytest.raises(SecurityError) as caught:
        verify(leaf, others, trust, purpose=purpose, now=now)
    return caught.value.code


def crl(
    *revoked: Revoked, validity: c.Validity = SPAN, by: c.Identity = DEVICES
) -> x509.CertificateRevocationList:
    return make_crl(by, revoked, number=7, validity=validity)


def test_every_kind_verifies_up_to_the_root() -> None:
    operator = c.issue_operator(DEVICES, "anna", KEY.public_key(), serial=6, validity=SPAN)
    for leaf, purpose in (
        (LDEVID, CLIENT),
        (IDEVID, CLIENT),
        (operator, CLIENT),
        (SERVER, c.Purpose.SERVER),
    ):
        way = verify(leaf, (DEVICES.certificate,), TRUST, purpose=purpose, now=NOW)
        assert way == (leaf, DEVICES.certificate, ROOT.certificate)


def test_names_of_a_server_are_hosts_and_addresses() -> None:
    names = SERVER.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["head-end.example"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    assert c.names_of(SERVER) == {"head-end.example", "10.0.0.1"}
    with pytest.raises(ConfigError):
        c.names_of(ROOT.certificate)
    with pytest.raises(ConfigError):
        c.issue_server(DEVICES, [], KEY.public_key(), serial=5, validity=SPAN)


def test_idevid_names_the_device_and_its_hardware_and_never_expires() -> None:
    assert c.uid_of(IDEVID.subject) == "D1"
    assert hardware_of(IDEVID) == HARDWARE
    assert IDEVID.not_valid_after_utc.year == 9999
    assert hardware_of(LDEVID) is None
    assert hardware_of(ROOT.certificate) is None
    assert verify(
        IDEVID, (DEVICES.certificate,), Trust((DEVICES.certificate,)), purpose=CLIENT, now=NOW
    )


@pytest.mark.parametrize(
    ("now", "code"),
    [(SPAN.start - 1, "certificate.not-yet-valid"), (SPAN.end + 1, "certificate.expired")],
)
def test_validity_includes_both_ends(now: float, code: str) -> None:
    assert refused(LDEVID, now=now) == code
    for edge in (SPAN.start, SPAN.end):
        assert verify(LDEVID, (DEVICES.certificate,), TRUST, purpose=CLIENT, now=edge)


def test_an_expired_authority_ends_what_it_signed() -> None:
    authority = c.make_authority(
        ROOT, "Old", make_key(), serial=9, validity=c.Validity(NOW - 99, NOW - 9)
    )
    leaf = c.issue_ldevid(authority, "D1", "urn:x", KEY.public_key(), serial=1, validity=SPAN)
    assert refused(leaf, others=(authority.certificate,)) == "certificate.expired"


def test_untrusted_root_missing_intermediate_and_purpose() -> None:
    other = c.make_root("Root", make_key(), serial=1, validity=LONG)
    assert refused(LDEVID, Trust((other.certificate,))) == "certificate.untrusted"
    assert refused(LDEVID, others=()) == "certificate.untrusted"
    assert refused(LDEVID, purpose=c.Purpose.SERVER) == "certificate.purpose"
    assert refused(SERVER) == "certificate.purpose"
    assert refused(DEVICES.certificate, others=()) == "certificate.purpose"


def test_an_end_entity_is_no_authority() -> None:
    leaf = c.Identity(LDEVID, KEY)
    forged = c.issue_ldevid(leaf, "D2", "urn:x", KEY.public_key(), serial=9, validity=SPAN)
    assert refused(forged, others=(LDEVID, DEVICES.certificate)) == "certificate.untrusted"


def test_path_length_is_kept() -> None:
    below = c.make_authority(DEVICES, "Below", make_key(), serial=9, validity=LONG)
    leaf = c.issue_ldevid(below, "D1", "urn:x", KEY.public_key(), serial=1, validity=SPAN)
    assert refused(leaf, others=(below.certificate, DEVICES.certificate)) == "certificate.untrusted"


def test_a_chain_is_bounded_and_a_loop_ends() -> None:
    issuer, others = ROOT, []
    for number in range(MAX_CHAIN):
        issuer = c.make_authority(
            issuer, f"A{number}", make_key(), serial=10 + number, validity=LONG
        )
        others.append(issuer.certificate)
    leaf = c.issue_ldevid(issuer, "D1", "urn:x", KEY.public_key(), serial=1, validity=SPAN)
    assert refused(leaf, others=tuple(others)) == "certificate.untrusted"
    other = c.make_root("Other", make_key(), serial=1, validity=LONG)
    assert refused(other.certificate, others=(other.certificate,)) == "certificate.untrusted"


def _odd(
    key: object,
    *extensions: tuple[x509.ExtensionType, bool],
    issuer: c.Identity = DEVICES,
    ca: bool = False,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(c.device_name("D1"))
        .issuer_name(issuer.certificate.subject)
        .public_key(key)  # type: ignore[arg-type]  # any kind of key
        .serial_number(77)
        .not_valid_before(utc(SPAN.start))
        .not_valid_after(utc(SPAN.end))
    )
    if ca:
        builder = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer.key, hashes.SHA256())


def _may_not(**no: bool) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    usage = dict.fromkeys(names, False) | {"key_agreement": True} | no
    return x509.KeyUsage(**usage)


def test_odd_certificates() -> None:
    public = KEY.public_key()
    assert verify(_odd(public), (DEVICES.certificate,), TRUST, purpose=CLIENT, now=NOW)
    limits = x509.NameConstraints([x509.DNSName("example")], None)
    assert refused(_odd(public, (limits, True))) == "certificate.form"
    assert refused(_odd(public, (_may_not(), True))) == "certificate.purpose"
    assert refused(_odd(ed25519.Ed25519PrivateKey.generate().public_key())) == "certificate.form"
    small = rsa.generate_private_key(65537, 1024).public_key()
    assert refused(_odd(small)) == "certificate.form"
    assert verify(
        _odd(rsa.generate_private_key(65537, 2048).public_key()),
        (DEVICES.certificate,),
        TRUST,
        purpose=CLIENT,
        now=NOW,
    )


def test_an_issuer_that_may_not_sign() -> None:
    key = make_key()
    authority = c.Identity(_odd(key.public_key(), (_may_not(), True), issuer=ROOT, ca=True), key)
    leaf = c.issue_ldevid(authority, "D1", "urn:x", KEY.public_key(), serial=1, validity=SPAN)
    assert refused(leaf, others=(authority.certificate,)) == "certificate.untrusted"
    # It may not sign lists either.
    check_unread(crl(Revoked(1, NOW), by=authority), authority)


def test_crl_read_back() -> None:
    made = crl(
        Revoked(3, NOW - 5, x509.ReasonFlags.key_compromise),
        Revoked(9, NOW - 4),
        Revoked(3, NOW - 1),
    )
    back = load_crl(made.public_bytes(serialization.Encoding.DER))
    assert [entry.serial_number for entry in back] == [3, 9]
    entry = back.get_revoked_certificate_by_serial_number(3)
    assert entry is not None
    assert entry.revocation_date_utc == utc(NOW - 5)
    assert (
        entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
        is x509.ReasonFlags.key_compromise
    )
    assert back.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 7
    with pytest.raises(SecurityError):
        load_crl(b"none")


def read(made: x509.CertificateRevocationList, by: c.Identity = DEVICES) -> ReadList:
    return ReadList.of(made, by.certificate)


def check_unread(made: x509.CertificateRevocationList, by: c.Identity) -> None:
    with pytest.raises(SecurityError) as caught:
        read(made, by)
    assert caught.value.code == "certificate.crl"


def test_revocation() -> None:
    named = read(crl(Revoked(3, NOW)))
    assert refused(LDEVID, replace(TRUST, lists=(named,))) == "certificate.revoked"
    clean = replace(
        TRUST, lists=(read(crl()), read(make_crl(ROOT, (), number=1, validity=SPAN), ROOT))
    )
    assert verify(LDEVID, (DEVICES.certificate,), clean, purpose=CLIENT, now=NOW)
    old = read(crl(validity=c.Validity(NOW - 7200, NOW - 10)))
    assert refused(LDEVID, replace(TRUST, lists=(old,))) == "certificate.crl"
    # A newer list makes up for it; a revocation in an older one stays.
    newer = replace(TRUST, lists=(old, read(crl())))
    assert verify(LDEVID, (DEVICES.certificate,), newer, purpose=CLIENT, now=NOW)
    named = read(crl(Revoked(3, NOW - 30), validity=c.Validity(NOW - 7200, NOW + 1)))
    both = replace(TRUST, lists=(read(crl()), named))
    assert refused(LDEVID, both) == "certificate.revoked"


def test_a_list_without_an_end_is_in_force() -> None:
    endless = replace(read(crl()), ends=None)
    trust = replace(TRUST, lists=(endless,))
    assert verify(LDEVID, (DEVICES.certificate,), trust, purpose=CLIENT, now=NOW)


def test_a_list_counts_for_every_certificate_of_its_authority() -> None:
    """A maker's root that was certified anew with its old key has one list."""
    name, validity = "Devices", c.Validity(NOW - 99, NOW + 99)
    again = c.make_authority(ROOT, name, DEVICES.key, serial=99, validity=validity)
    named = read(crl(Revoked(3, NOW)), again)
    assert refused(LDEVID, replace(TRUST, lists=(named,))) == "certificate.revoked"


@pytest.mark.parametrize("late", [False, True])
def test_an_authority_that_is_over_vouches_for_nothing_whatever_its_list_says(
    late: bool,
) -> None:
    end = NOW - 1 if late else NOW + 99
    short = c.make_authority(
        ROOT, "Short", make_key(), serial=98, validity=c.Validity(NOW - 99, end)
    )
    leaf = c.issue_ldevid(short, "D1", "urn:x", KEY.public_key(), serial=3, validity=SPAN)
    trust = Trust((short.certificate,), lists=(read(crl(by=short), short),))
    if late:
        assert refused(leaf, trust, others=()) == "certificate.expired"
    else:
        assert verify(leaf, (), trust, purpose=CLIENT, now=NOW)


def test_what_is_known_to_be_revoked_needs_no_list() -> None:
    own = Trust((DEVICES.certificate,), revoked=frozenset({LDEVID.serial_number}))
    assert refused(LDEVID, own) == "certificate.revoked"
    verify(IDEVID, (), own, purpose=CLIENT, now=NOW)


def test_a_revoked_authority_revokes_what_it_signed() -> None:
    lists = (read(make_crl(ROOT, [Revoked(2, NOW)], number=1, validity=SPAN), ROOT),)
    assert refused(LDEVID, replace(TRUST, lists=lists)) == "certificate.revoked"


def test_a_list_signed_by_another_is_not_read() -> None:
    pretender = c.make_authority(ROOT, "Devices", make_key(), serial=2, validity=LONG)
    forged = crl(Revoked(3, NOW), by=pretender)
    check_unread(forged, DEVICES)
    check_unread(forged, ROOT)
    # Nor is it heard, though of the same name, if somebody trusts both.
    trust = replace(TRUST, lists=(read(forged, pretender),))
    assert verify(LDEVID, (DEVICES.certificate,), trust, purpose=CLIENT, now=NOW)


def test_a_list_of_a_part_is_not_read() -> None:
    part = x509.IssuingDistributionPoint(None, None, False, True, None, False, False)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(DEVICES.certificate.subject)
        .last_update(utc(NOW - 1))
        .next_update(utc(NOW + 1))
        .add_extension(part, critical=True)
    )
    check_unread(builder.sign(DEVICES.key, hashes.SHA256()), DEVICES)


def test_request_both_ways() -> None:
    uid, key = read_request(make_request("D1", KEY))
    assert uid == "D1"
    assert key == KEY.public_key()
    assert (
        c.key_fingerprint(key)
        == c.key_fingerprint(KEY.public_key())
        != c.key_fingerprint(make_key().public_key())
    )


def test_a_request_of_anybody_gives_its_key() -> None:
    request = x509.load_der_x509_csr(make_request("D1", KEY))
    pem = request.public_bytes(serialization.Encoding.PEM)
    assert requested_key(pem) == KEY.public_key()
    for wrong in (b"", pem[:-40], pem + b" " * 5000):
        with pytest.raises(SecurityError) as caught:
            requested_key(wrong)
        assert caught.value.code == "certificate.request"


def test_requests_refused() -> None:
    good = make_request("D1", KEY)
    builder = x509.CertificateSigningRequestBuilder()
    der = serialization.Encoding.DER
    other_curve = builder.subject_name(c.device_name("D1")).sign(
        ec.generate_private_key(ec.SECP384R1()), hashes.SHA256()
    )
    bad = [
        b"",
        bytes(MAX_REQUEST + 1),
        good[:-1],
        good[:-3] + bytes([good[-3] ^ 1]) + good[-2:],
        other_curve.public_bytes(der),
    ]
    for request in bad:
        with pytest.raises(SecurityError, match="P-256") as caught:
            read_request(request)
        assert caught.value.code == "certificate.request"
    for names in ([], [x509.NameAttribute(x509.NameOID.SERIAL_NUMBER, "a b")]):
        nameless = builder.subject_name(x509.Name(names)).sign(KEY, hashes.SHA256())
        with pytest.raises(SecurityError) as caught:
            read_request(nameless.public_bytes(der))
        assert caught.value.code == "certificate.name"


def test_pem_of_an_identity() -> None:
    identity = c.Identity(LDEVID, KEY)
    back = c.Identity.from_pem(identity.pem())
    assert back.certificate == LDEVID
    assert back.key.private_numbers() == KEY.private_numbers()
    assert "key" not in repr(identity).split("certificate=")[0]
    assert "PRIVATE" not in repr(identity)
    for text in (
        b"",
        LDEVID.public_bytes(serialization.Encoding.PEM),
        c.Identity(ROOT.certificate, KEY).pem(),
    ):
        with pytest.raises(ConfigError):
            c.Identity.from_pem(text)


def test_another_version_is_no_request_and_no_certificate() -> None:
    """The library has an error of its own for it, that is no ValueError."""
    request = make_request("D1", KEY)
    assert b"\x02\x01\x00" in request
    with pytest.raises(SecurityError) as caught:
        read_request(request.replace(b"\x02\x01\x00", b"\x02\x01\x01", 1))
    assert caught.value.code == "certificate.request"
    der = LDEVID.public_bytes(serialization.Encoding.DER)
    assert b"\xa0\x03\x02\x01\x02" in der
    with pytest.raises(SecurityError) as caught:
        c.load_certificate(der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05", 1))
    assert caught.value.code == "certificate.form"
    der = crl(Revoked(3, NOW)).public_bytes(serialization.Encoding.DER)
    assert der.count(b"\x02\x01\x01\x30") == 1
    with pytest.raises(SecurityError) as caught:
        load_crl(der.replace(b"\x02\x01\x01\x30", b"\x02\x01\x05\x30"))
    assert caught.value.code == "certificate.crl"
    text = LDEVID.public_bytes(serialization.Encoding.DER)
    text = text.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05", 1)
    lines = b64encode(text)
    pem = b"-----BEGIN CERTIFICATE-----\n" + lines + b"\n-----END CERTIFICATE-----\n"
    key = c.Identity(LDEVID, KEY).pem().partition(b"-----BEGIN CERTIFICATE")[0]
    with pytest.raises(ConfigError):
        c.Identity.from_pem(key + pem)


def test_load_certificate() -> None:
    der = LDEVID.public_bytes(serialization.Encoding.DER)
    assert c.load_certificate(der) == LDEVID
    assert len(c.fingerprint(LDEVID)) == 32
    for octets in (b"", der[:-1], bytes(c.MAX_CERTIFICATE + 1)):
        with pytest.raises(SecurityError) as caught:
            c.load_certificate(octets)
        assert caught.value.code == "certificate.form"


@given(
    st.tuples(
        st.integers(0, 1), st.integers(0, 39), st.integers(0, 2**32 - 1), st.integers(0, 300)
    ),
    st.binary(max_size=64),
)
def test_hardware_both_ways_and_cut(arcs: tuple[int, ...], serial: bytes) -> None:
    module = HardwareModule(".".join(map(str, arcs)), serial)
    der = module.encode()
    assert HardwareModule.decode(der) == module
    for size in range(len(der)):
        with pytest.raises(SecurityError):
            HardwareModule.decode(der[:size])


@given(st.binary(max_size=40))
def test_hardware_of_anything(octets: bytes) -> None:
    with contextlib.suppress(SecurityError):
        module = HardwareModule.decode(octets)
        assert HardwareModule.decode(module.encode()) == module


def test_hardware_vectors() -> None:
    # 1.3.6.1.4.1.311.21.20 is X.690's way of writing arcs: 2B 06 01 04 01 82 37 15 14.
    der = bytes.fromhex("3010 0609 2B060104018237151404 03 414243".replace(" ", ""))
    assert HardwareModule.decode(der) == HardwareModule("1.3.6.1.4.1.311.21.20", b"ABC")
    assert HardwareModule("1.3.6.1.4.1.311.21.20", b"ABC").encode() == der
    for wrong in (
        "3004060004 00",
        "30060602 8001 0400",
        "300A0606 2B9080808000 0400",
        "30 7F",
        "3006 0602 2B06 0400 00",
    ):
        with pytest.raises(SecurityError):
            HardwareModule.decode(bytes.fromhex(wrong))


def broken_extension(oid: str) -> x509.Certificate:
    """A certificate whose extension holds no DER at all."""
    return _odd(
        KEY.public_key(), (x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), b"\xff"), False)
    )


@pytest.mark.parametrize("oid", ["2.5.29.19", "2.5.29.17", "2.5.29.15"])
def test_extensions_in_a_wrong_form(oid: str) -> None:
    odd = broken_extension(oid)
    assert refused(odd) == "certificate.form"


def test_a_list_of_an_authority_without_a_right_to_lists() -> None:
    """Authorities whose key usage leaves out cRLSign sign no lists (RFC 5280 6.3.3 f)."""
    key = make_key()
    usage = _may_not(key_cert_sign=True)
    authority = c.Identity(_odd(key.public_key(), (usage, True), issuer=ROOT, ca=True), key)
    check_unread(crl(Revoked(1, NOW), by=authority), authority)


def test_a_list_of_who_says_nothing_of_what_it_may_do_is_read() -> None:
    key = make_key()
    authority = c.Identity(_odd(key.public_key(), issuer=ROOT, ca=True), key)
    assert read(crl(Revoked(1, NOW), by=authority), authority).serials == {1}


def test_an_authority_that_cannot_be_read_has_no_list() -> None:
    odd = broken_extension("2.5.29.15")
    made = make_crl(c.Identity(odd, KEY), (), number=1, validity=SPAN)
    check_unread(made, c.Identity(odd, KEY))


def test_an_authority_with_another_kind_of_key_has_no_list() -> None:
    odd = _odd(ed25519.Ed25519PrivateKey.generate().public_key())
    made = make_crl(c.Identity(odd, KEY), (), number=1, validity=SPAN)
    check_unread(made, c.Identity(odd, KEY))


def test_an_authority_with_a_key_of_an_unknown_kind_has_no_list() -> None:
    der = _odd(ed25519.Ed25519PrivateKey.generate().public_key()).public_bytes(
        serialization.Encoding.DER
    )
    known, unknown = bytes.fromhex("06032b6570"), bytes.fromhex("06032b657f")  # RFC 8410 3
    odd = x509.load_der_x509_certificate(der.replace(known, unknown))
    made = make_crl(c.Identity(odd, KEY), (), number=1, validity=SPAN)
    check_unread(made, c.Identity(odd, KEY))
