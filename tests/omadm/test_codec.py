"""Messages to octets and back, in both encodings."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.omadm.corpus import MESSAGES, OPAQUE, SERVER, server

from openami.core.errors import DecodeError, LocalProtocolError, RemoteProtocolError
from openami.omadm.limits import Limits
from openami.omadm.messages import MediaType, decode_message, encode_message
from openami.omadm.messages.model import (
    Alert,
    Chal,
    Cred,
    Get,
    Item,
    Message,
    Meta,
    Replace,
    StatusReport,
    Unsupported,
)

HEAD = """<SyncML xmlns="SYNCML:SYNCML1.2"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto>
<SessionID>1F</SessionID><MsgID>1</MsgID><Target><LocURI>urn:uuid:0b2c</LocURI><LocName>dcu-7</LocName></Target>
<Source><LocURI>https://dm.example.org/dm</LocURI></Source></SyncHdr>"""

STATUS = (
    "<Status><CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>2</CmdRef><Cmd>Get</Cmd>"
    "<Data>{}</Data></Status>"
)


def body(content: str) -> Message:
    text = f"{HEAD}<SyncBody>{content}</SyncBody></SyncML>"
    return decode_message(text.encode(), MediaType.XML)


@pytest.mark.parametrize("media", MediaType)
@pytest.mark.parametrize("name", MESSAGES)
def test_both_ways(name: str, media: MediaType) -> None:
    octets = encode_message(MESSAGES[name], media)
    assert decode_message(octets, media) == MESSAGES[name]
    assert encode_message(decode_message(octets, media), media) == octets


@pytest.mark.parametrize("media", MediaType)
@pytest.mark.parametrize("name", ["package-2", "challenge-md5", "meta-whole", "sequence-of-atomic"])
def test_every_truncation_is_refused(name: str, media: MediaType) -> None:
    octets = encode_message(MESSAGES[name], media)
    for size in range(len(octets)):
        with pytest.raises(DecodeError):
            decode_message(octets[:size], media)
    with pytest.raises(DecodeError):
        decode_message(octets + b"x", media)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(MESSAGES)),
    st.sampled_from(MediaType),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=5),
)
def test_flipped_octets_give_a_message_or_the_one_error(
    name: str, media: MediaType, flips: list[tuple[float, int]]
) -> None:
    octets = bytearray(encode_message(MESSAGES[name], media))
    for where, value in flips:
        octets[int(where * len(octets))] = value
    try:
        message = decode_message(bytes(octets), media)
    except DecodeError:
        return
    again = encode_message(message, MediaType.WBXML)
    assert decode_message(again, MediaType.WBXML) == message


def test_octets_are_opaque_in_wbxml_and_impossible_in_xml() -> None:
    for message in OPAQUE.values():
        octets = encode_message(message, MediaType.WBXML)
        assert decode_message(octets, MediaType.WBXML) == message
        with pytest.raises(LocalProtocolError):
            encode_message(message, MediaType.XML)


@pytest.mark.parametrize(
    ("name", "media"),
    [
        ("application/vnd.syncml.dm+xml", MediaType.XML),
        ("Application/VND.SyncML.DM+WBXML; charset=utf-8", MediaType.WBXML),
        (" application/vnd.syncml+xml ;q=1", MediaType.XML),
        ("application/vnd.syncml+wbxml", MediaType.WBXML),
    ],
)
def test_media_types(name: str, media: MediaType) -> None:
    assert MediaType.of(name) is media


@pytest.mark.parametrize("name", ["", "text/xml", "application/vnd.syncml.notification"])
def test_other_media_types_are_refused(name: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_message(b"", name)
    assert caught.value.code == "omadm.media-type"


def test_children_are_read_in_any_order_and_unused_ones_are_dropped() -> None:
    message = body(
        """<Final/>
        <Get><Item><Target><LocName>n</LocName><LocURI>./A</LocURI></Target></Item><Lang>en</Lang>
        <Meta><Type xmlns='syncml:metinf'>t</Type><Format>chr</Format></Meta><CmdID> 2 </CmdID></Get>"""
    )
    get = message.commands[0]
    assert message.final
    assert isinstance(get, Get)
    assert (get.cmd_id, get.meta) == (2, Meta(format="chr", type="t"))


def test_meta_with_its_own_root() -> None:
    message = body(
        "<Get><CmdID>1</CmdID><Meta><MetInf xmlns='syncml:metinf'><Size>3</Size></MetInf></Meta><Item/></Get>"
    )
    assert message == server(Get(1, (Item(),), Meta(size=3)), final=False)


def test_commands_of_synchronisation_keep_their_number() -> None:
    message = body("<Put><CmdID>7</CmdID><Meta/><Item><Data>x</Data></Item></Put>")
    assert message.commands == (Unsupported("Put", 7),)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("<Get><Item/></Get>", "SyncML/SyncBody/Get: CmdID is missing"),
        ("<Get><CmdID>1</CmdID></Get>", "SyncML/SyncBody/Get: Item is missing"),
        ("<Get><CmdID>1</CmdID><CmdID>1</CmdID><Item/></Get>", "Get: CmdID is there twice"),
        ("<Get><CmdID>one</CmdID><Item/></Get>", "SyncML/SyncBody/Get/CmdID: a number wanted"),
        ("<Get><CmdID>-1</CmdID><Item/></Get>", "CmdID: a number wanted"),
        ("<Get><CmdID>٣</CmdID><Item/></Get>", "CmdID: a number wanted"),
        ("<Get><CmdID>99999999999</CmdID><Item/></Get>", "CmdID: a number wanted"),
        ("<Get><CmdID>4294967296</CmdID><Item/></Get>", "at most 32 bits"),
        ("<Get><CmdID><Data/></CmdID><Item/></Get>", "CmdID: characters wanted"),
        (STATUS.format("99"), "SyncBody/Status/Data: a code of three digits wanted"),
        (STATUS.format("1000"), "SyncBody/Status/Data: a code of three digits wanted"),
        (STATUS.format("4294967295"), "SyncBody/Status/Data: a code of three digits wanted"),
        (STATUS.format("good"), "SyncBody/Status/Data: a number wanted"),
        ("<Get>x</Get>", "SyncBody/Get: elements wanted"),
        (
            "<Get><CmdID>1</CmdID><Item><Meta><Color/></Meta></Item></Get>",
            "Item/Meta: Color has no",
        ),
        ("<Get><CmdID>1</CmdID><NoResp>x</NoResp><Item/></Get>", "NoResp: nothing inside"),
        ("<Get><CmdID>1</CmdID><Meta><NextNonce>*</NextNonce></Meta><Item/></Get>", "base64"),
        ("<Add><CmdID>1</CmdID><Item><Data><A/><B/></Data></Item></Add>", "one document wanted"),
        ("<Sync/>", "SyncBody/Sync: CmdID is missing"),
        ("<Move/>", "SyncML/SyncBody: Move has no place here"),
        ("<Final/><Final/>", "Final is there twice"),
        ("<Atomic><CmdID>1</CmdID><Get/></Atomic>", "SyncBody/Atomic/Get: CmdID, Item is missing"),
    ],
)
def test_errors_name_the_path(content: str, words: str) -> None:
    with pytest.raises(DecodeError) as caught:
        body(content)
    assert words in caught.value.message
    assert caught.value.code == "omadm.message"
    assert caught.value.offset >= len(HEAD)


def test_the_root_is_syncml() -> None:
    with pytest.raises(DecodeError, match="SyncML wanted, MgmtTree found"):
        decode_message(b"<MgmtTree/>", MediaType.XML)


def test_white_space_is_an_empty_body() -> None:
    assert body("\n ").commands == ()


def test_commands_and_items_are_bounded() -> None:
    octets = encode_message(MESSAGES["sequence-of-atomic"], MediaType.WBXML)
    decode_message(octets, MediaType.WBXML, limits=Limits(commands=4, items=2))
    for limits in (Limits(commands=3), Limits(items=1)):
        with pytest.raises(DecodeError) as caught:
            decode_message(octets, MediaType.WBXML, limits=limits)
        assert caught.value.code == "omadm.too-many"


def test_empty_values_are_there_and_empty() -> None:
    message = server(Replace(1, (Item(data=""),)), Alert(2, 1100, correlator=""))
    for media in MediaType:
        assert decode_message(encode_message(message, media), media) == message
    nothing = server(Replace(1, (Item(data=b""),)))
    assert decode_message(encode_message(nothing, MediaType.XML), MediaType.XML) == server(
        Replace(1, (Item(data=""),))
    )


def test_a_nonce_may_be_opaque() -> None:
    octets = encode_message(MESSAGES["challenge-md5"], MediaType.WBXML)
    opaque = octets.replace(b"\x03Tm9uY2U=\x00", b"\xc3\x04\xff\0\1\2")
    status = decode_message(opaque, MediaType.WBXML).commands[0]
    assert isinstance(status, StatusReport)
    assert status.chal == Chal(Meta("b64", "syncml:auth-md5", next_nonce=b"\xff\0\1\2"))


def test_secrets_are_not_shown() -> None:
    message = server(cred=Cred(Meta(next_nonce=b"hidden"), "hidden"))
    assert "hidden" not in repr(message)
    assert SERVER.uri in repr(message)
