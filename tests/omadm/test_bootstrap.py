"""Bootstrap documents, both ways."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.dm_wire import DEVICE, DictGate

from openami.core.errors import DecodeError, LocalProtocolError, RemoteProtocolError, SecurityError
from openami.omadm.bootstrap.cp import MAX_OCTETS, read_cp, write_cp
from openami.omadm.bootstrap.profile import Profile, build, build_sealed, names
from openami.omadm.bootstrap.seal import MAX_HEADER, Method, check_seal, seal
from openami.omadm.codes import Status
from openami.omadm.messages.codec import encode_message
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.model import Add, Get, Header, Item, Location, Message, Meta
from openami.omadm.objects.catalog import device_schema
from openami.omadm.objects.dmacc import AppAuth, DmAcc, Level
from openami.omadm.tree.tree import ManagementTree
from openami.omadm.tree.visit import Visit

ACCOUNT = DmAcc(
    "head-end",
    "https://head-end.example:8443/dm",
    "Utility & sons",
    "",
    (
        AppAuth(Level.CLIENT, "HMAC", "DCU-0001", 'client "secret"\n', b"\x00nonce"),
        AppAuth(Level.SERVER, "HMAC", "head-end", "server secret", b"other"),
    ),
)
KEY = b"1234"

# The form that OMA-TS-DM_Bootstrap 1.2, appendix C has: several types, a port apart, a DTD named.
CP = b"""<?xml version="1.0"?>
<!DOCTYPE wap-provisioningdoc PUBLIC "-//WAPFORUM//DTD PROV 1.0//EN"
 "http://www.wapforum.org/DTD/prov.dtd">
<wap-provisioningdoc version="1.0">
  <characteristic type="NAPDEF"><parm name="NAPID" value="x"/></characteristic>
  <characteristic type="APPLICATION"><parm name="APPID" value="w2"/></characteristic>
  <characteristic type="APPLICATION">
    <parm name="APPID" value="w7"/>
    <parm name="PROVIDER-ID" value="com.mgmtsrv.manage"/>
    <parm name="NAME" value="Mgmt Server"/>
    <parm name="INIT"/>
    <characteristic type="APPADDR">
      <parm name="ADDR" value="http://www.mgmtsrv.com/manage"/>
      <parm name="ADDRTYPE" value="URI"/>
      <characteristic type="PORT"><parm name="PORTNBR" value="8080"/></characteristic>
    </characteristic>
    <characteristic type="APPAUTH">
      <parm name="AAUTHLEVEL" value="APPSRV"/>
      <parm name="AAUTHTYPE" value="HMAC, DIGEST"/>
      <parm name="AAUTHNAME" value="name"/>
      <parm name="AAUTHSECRET" value="secret"/>
      <parm name="AAUTHDATA" value="Tm9uY2U="/>
    </characteristic>
    <characteristic type="APPAUTH">
      <parm name="AAUTHLEVEL" value="CLIENT"/>
      <parm name="AAUTHTYPE" value="BASIC"/>
    </characteristic>
  </characteristic>
</wap-provisioningdoc>"""


def test_a_document_as_the_standard_has_it() -> None:
    (account,) = read_cp(CP)
    assert account == DmAcc(
        "com.mgmtsrv.manage",
        "http://www.mgmtsrv.com:8080/manage",
        "Mgmt Server",
        "HMAC",
        (
            AppAuth(Level.CLIENT, "HMAC", "name", "secret", b"Nonce"),
            AppAuth(Level.CLIENT, "DIGEST", "name", "secret", b"Nonce"),
            AppAuth(Level.SERVER, "BASIC"),
        ),
    )
    assert read_cp(write_cp(account)) == (account,)
    for size in range(0, len(CP), 7):
        with pytest.raises(DecodeError):
            read_cp(CP[:size])


def test_cp_both_ways() -> None:
    other = DmAcc("other", "http://x/")
    assert read_cp(write_cp(ACCOUNT, other)) == (ACCOUNT, other)
    with pytest.raises(LocalProtocolError):
        write_cp(DmAcc("a\0", "http://x/"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"w7", b"w7\xff"),
        (b'"com.mgmtsrv.manage"', b'""'),
        (b'"http://www.mgmtsrv.com/manage"', b'""'),
        (b"http://www", b"http://[www"),
        (b"8080", b"80a"),
        (b"APPSRV", b"WHO"),
        (b"Tm9uY2U=", b"T!9uY2U="),
        (b'<parm name="INIT"/>', b"<parm/>"),
        (b'<parm name="INIT"/>', b"<other/>"),
        (b'<parm name="INIT"/>', b'<characteristic type="A">' * 8 + b"</characteristic>" * 8),
        (b'<parm name="INIT"/>', b'<parm name="INIT"/>' * 1_100),
        (b'prov.dtd">', b'prov.dtd" [<!ENTITY a "b">]>'),
        (b"wap-provisioningdoc version", b"doc version"),
    ],
)
def test_documents_that_are_none(old: bytes, new: bytes) -> None:
    with pytest.raises(DecodeError):
        read_cp(CP.replace(old, new))


def test_a_port_that_the_address_has_already() -> None:
    there = CP.replace(b"http://www.mgmtsrv.com/", b"http://www.mgmtsrv.com:1/")
    assert read_cp(there)[0].address == "http://www.mgmtsrv.com:1/manage"


def test_a_document_that_is_too_long() -> None:
    with pytest.raises(DecodeError):
        read_cp(CP + b" " * MAX_OCTETS)


@given(st.binary(max_size=200))
def test_any_octets(octets: bytes) -> None:
    with suppress(DecodeError):
        assert read_cp(octets) == ()
    with suppress(DecodeError):
        Profile.parse(octets)


def test_profile_both_ways() -> None:
    body, content_type = build_sealed(names([ACCOUNT]), device=DEVICE, method=Method.PIN, key=KEY)
    profile = Profile.parse_sealed(body, content_type, Method.PIN, KEY)
    assert profile.server == "head-end"
    assert profile.accounts() == {"1": ACCOUNT}
    assert "secret" not in repr(profile)


def test_seal() -> None:
    body, key = b"what do ya want for nothing?", b"Jefe"
    value = seal("a/b", body, Method.PIN_NETWORK, key)
    assert check_seal(value, body, Method.PIN_NETWORK, key) == "a/b"
    assert check_seal(value.lower(), body, Method.PIN_NETWORK, key) == "a/b"
    for octets, method, secret in (
        (body + b"!", Method.PIN_NETWORK, key),
        (body, Method.PIN, key),
        (body, Method.PIN_NETWORK, b"other"),
    ):
        with pytest.raises(SecurityError):
            check_seal(value, octets, method, secret)
    for header in (
        "a/b",
        "a/b; SEC=USERPIN; MAC=12",
        "a/b; x",
        value + "; sec=1",
        "a" * MAX_HEADER * 2,
    ):
        with pytest.raises(DecodeError):
            check_seal(header, body, Method.PIN_NETWORK, key)


def test_a_profile_is_wbxml() -> None:
    with pytest.raises(DecodeError):
        Profile.parse_sealed(b"", seal(MediaType.XML, b"", Method.PIN, KEY), Method.PIN, KEY)


def message(*commands: Add | Get) -> bytes:
    header = Header("0", 1, Location(DEVICE), Location("head-end"))
    return encode_message(Message(header, commands, final=True), MediaType.WBXML)


def test_messages_that_are_no_profile() -> None:
    get = Get(1, (Item(Location("./Inbox")),))
    for body in (message(), message(get), b""):
        with pytest.raises(DecodeError):
            Profile.parse(body)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (None, "x"),
        ("text/plain", "x"),
        ("application/vnd.syncml.dmtnds+xml", "x"),
        (
            "application/vnd.syncml.dmtnds+xml",
            '<MgmtTree xmlns="syncml:dmddf1.2"><Node><NodeName>a</NodeName></Node></MgmtTree>',
        ),
    ],
)
def test_adds_that_hold_no_account(kind: str | None, data: str) -> None:
    add = Add(1, (Item(Location("./Inbox"), meta=Meta(type=kind), data=data),))
    profile = Profile.parse(message(add))
    with pytest.raises(DecodeError):
        profile.accounts()


def test_a_profile_is_added_whole_or_not() -> None:
    gate = DictGate()
    profile = Profile.parse(build(names([ACCOUNT]), device=DEVICE))
    profile.apply(gate)
    assert list(gate.nodes) == ["./Inbox"]
    with pytest.raises(RemoteProtocolError) as caught:
        profile.apply(gate)
    assert caught.value.code == "omadm.bootstrap.refused"
    assert str(int(Status.ALREADY_EXISTS)) in caught.value.message


def test_a_profile_whose_second_account_is_refused_leaves_none() -> None:
    """On the real tree, too: the first is undone."""
    tree = ManagementTree(device_schema())
    one, other = Profile.parse(build(names([ACCOUNT]), device=DEVICE)).adds * 2
    gate = Visit(tree, "head-end", 0.0)
    with pytest.raises(RemoteProtocolError):
        Profile("head-end", (one, other)).apply(gate)
    assert tree.names("./DMAcc") == ()
    add = Add(1, (Item(Location("./DMAcc/2/Name"), data="x"),))
    assert gate.perform(add, add.items[0]).status == Status.OK
    assert tree.names("./DMAcc") == ("2",)
