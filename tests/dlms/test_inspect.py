"""Trees of APDUs, frames and packets: what they show, what they decipher, what they hide."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.support.vectors import Case, load, named, notifications, telegrams

from openami.core.errors import DecodeError
from openami.dlms import data as d
from openami.dlms.apdu import decode_apdu
from openami.dlms.apdu.acse import Aare, Aarq, ApplicationContext, Mechanism
from openami.dlms.apdu.ciphered import CipheredApdu, Form
from openami.dlms.apdu.get import GetResponseNormal
from openami.dlms.apdu.initiate import InitiateRequest
from openami.dlms.conformance import Conformance
from openami.dlms.hdlc.address import HdlcAddress
from openami.dlms.hdlc.frame import Control, Frame, FrameKind
from openami.dlms.hdlc.parameters import Limits
from openami.dlms.inspect import (
    Inspector,
    Node,
    inspect_dlms,
    inspect_hdlc,
    inspect_wrapper,
    to_dict,
    to_text,
)
from openami.dlms.security import BOTH, ENCRYPTED, Keys, SecurityControl, protect
from openami.dlms.wrapper import Packet

if TYPE_CHECKING:
    from collections.abc import Iterator

h = bytes.fromhex

KEYS = Keys(guek=bytes(range(16)), gak=bytes(range(0xD0, 0xE0)))
TITLE = h("4D4D4D0000BC614E")
GET = h("C0010000080000010000FF0200")
CIPHERED = h("C81E3001234567411312FF935A47566827C467BC7D825C3BE4A77C3FCC056B6B")
CASES = load("apdu")


def walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from walk(child)


def find(tree: Node, name: str) -> Node:
    found = [node for node in walk(tree) if node.name == name]
    assert found, f"no {name} in\n{to_text(tree)}"
    return found[0]


@pytest.mark.parametrize("case", CASES, ids=named)
def test_every_vector_has_a_tree(case: Case) -> None:
    """Octets of an element are those at its offset; children lie inside, one after another."""
    tree = inspect_dlms(case.raw)
    assert tree.octets == case.raw
    json.dumps(to_dict(tree), allow_nan=False)

    def check(node: Node) -> None:
        if node.octets:
            assert case.raw[node.offset : node.offset + len(node.octets)] == node.octets
        at = node.offset
        for child in node.children:
            assert child.offset >= at
            at = child.offset + len(child.octets)
            check(child)
        assert at <= node.offset + len(node.octets) or not node.octets

    check(tree)


def test_text_is_aligned_and_indented() -> None:
    assert to_text(inspect_dlms(GET)).splitlines() == [
        "   0                     get-request-normal",
        "   2  00                   invoke-id-and-priority: 0 (id 0, unconfirmed, normal priority)",
        "   3                       attribute",
        "   3  00 08                  class-id: 8 (clock)",
        "   5  00 00 01 00 00 FF      instance-id: 0000010000FF (0.0.1.0.0.255 clock)",
        "  11  02                     attribute-id: 2",
        "  12  00                   access-selection: absent",
    ]


def test_dict_has_octets_of_leaves_only() -> None:
    tree = to_dict(inspect_dlms(GET))
    assert "octets" not in tree
    assert tree["children"][0] == {
        "name": "invoke-id-and-priority",
        "value": 0,
        "offset": 2,
        "note": "id 0, unconfirmed, normal priority",
        "octets": "00",
    }


def test_long_octets_are_cut_in_text_only() -> None:
    tree = inspect_dlms(GetResponseNormal(0xC1, d.octets(bytes(20))).encode())
    assert "09 14 00 00 00 00 00 00…" in to_text(tree)
    assert find(tree, "octet-string").value == "00" * 20


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (d.octets(h("07E10A1405050005FF800000")), "2017-10-20 Fri 05:00:05"),
        (d.octets(h("0100010800FF")), "1.0.1.8.0.255 active import, energy"),
        (d.octets(h("03020304050A")), ""),
        (d.octets(h("090909090909")), ""),
        (d.octets(h("0909090909FF")), "9.9.9.9.9.255"),
        (d.octets(b"ISK5\x7f"), ""),
        (d.octets(b"KFM1200"), '"KFM1200"'),
        (d.octets(b"a" * 70), '"' + "a" * 64 + '"'),
        (d.octets(b""), ""),
        (d.octets(bytes(12)), ""),
        (d.octets(b"\x00\x01" + bytes(10)), ""),
        (d.octets(h("0BB80101FF00000000000000")), ""),
    ],
)
def test_octet_strings_in_words(data: d.Data, note: str) -> None:
    tree = inspect_dlms(GetResponseNormal(0xC1, data).encode())
    assert find(tree, "octet-string").note == note


def test_values_of_other_types() -> None:
    data = d.structure(
        d.f64(float("inf")), d.bits("0110"), d.null(), d.boolean(True), d.utf8("é"), d.i8(-1),
        d.f32(1.5),
    )  # fmt: skip
    tree = inspect_dlms(GetResponseNormal(0xC1, data).encode())
    shown = [(node.name, node.value) for node in find(tree, "structure").children]
    assert shown == [
        ("float64", "inf"),
        ("bit-string", "0110"),
        ("null-data", None),
        ("boolean", True),
        ("utf8-string", "é"),
        ("integer", -1),
        ("float32", 1.5),
    ]
    assert find(tree, "structure").note == "7 elements"


def test_deciphered_with_both_keys() -> None:
    tree = inspect_dlms(CIPHERED, KEYS, title=TITLE)
    assert tree.name == "glo-get-request"
    assert find(tree, "security-control").note == "authenticated, encrypted, suite 0"
    assert find(tree, "invocation-counter").value == 0x01234567
    assert find(tree, "deciphered").octets == GET
    assert find(tree, "deciphered").note == ""
    assert find(tree, "instance-id").note == "0.0.1.0.0.255 clock"


def test_deciphered_without_the_authentication_key() -> None:
    tree = inspect_dlms(CIPHERED, Keys(guek=KEYS.guek), title=TITLE)
    assert find(tree, "deciphered").note == "the tag was not checked: no authentication key"
    assert find(tree, "class-id").value == 8


@pytest.mark.parametrize(
    ("message", "keys", "title", "note"),
    [
        (CIPHERED, Keys(), TITLE, "security.key: the global unicast encryption key is not known"),
        (CIPHERED, KEYS, None, "security.title: the sender's system title is not known"),
        (CIPHERED, KEYS, bytes(8), "security.tag: the authentication tag is not right"),
        (CIPHERED, Keys(guek=KEYS.guek), None, "security.title: no system title or no tag"),
        (h("C8053000000001"), Keys(guek=KEYS.guek), TITLE, "security.title: no system title or no"),
        (h("D0063000000001FF"), KEYS, TITLE, "security.key: the dedicated key is not known"),
    ],
)
def test_what_stays_ciphered_says_why(
    message: bytes, keys: Keys, title: bytes | None, note: str
) -> None:
    found = find(inspect_dlms(message, keys, title=title), "ciphertext")
    assert found.note.startswith(note)
    assert found.children == ()


def test_the_title_of_the_general_form_is_taken() -> None:
    octets = protect(GET, KEYS, control=ENCRYPTED, title=TITLE, counter=5, form=Form.GENERAL_GLOBAL)
    tree = inspect_dlms(octets, KEYS)
    assert tree.name == "general-glo-ciphering"
    assert find(tree, "system-title").value == TITLE.hex().upper()
    assert find(tree, "deciphered").octets == GET


def test_deciphered_with_a_wrong_key_is_an_error_not_a_crash() -> None:
    """Without a tag, and without the mapping of tags to check, rubbish comes out."""
    octets = protect(GET, KEYS, control=ENCRYPTED, title=TITLE, counter=5, form=Form.GENERAL_GLOBAL)
    tree = inspect_dlms(octets, Keys(guek=bytes(16)))
    assert find(tree, "error").note.startswith("no APDU begins with")


def association() -> tuple[bytes, bytes, bytes, bytes]:
    """Return AARQ, AARE, and a request and a response under the dedicated key."""
    client, server, dedicated = b"MMM12345", b"MMM67890", b"dedicated key 16"
    keys = Keys(KEYS.guek, KEYS.gak, dedicated)
    request = InitiateRequest(Conformance.GET, 0, dedicated_key=dedicated).encode()
    aarq = Aarq(
        ApplicationContext.LN_CIPHERED,
        client,
        Mechanism.HLS_GMAC,
        b"K56iVagY",
        protect(request, keys, control=BOTH, title=client, counter=1),
    )
    aare = Aare(
        ApplicationContext.LN_CIPHERED,
        title=server,
        user_information=protect(
            h("0800065F1F0400007C1F04000007"), keys, control=BOTH, title=server, counter=1
        ),
    )
    ask = protect(GET, keys, control=BOTH, title=client, counter=2, form=Form.DEDICATED)
    answer = protect(
        h("C4010000060000002A"), keys, control=BOTH, title=server, counter=2, form=Form.DEDICATED
    )
    return aarq.encode(), aare.encode(), ask, answer


def test_titles_and_dedicated_key_are_learned_in_passing() -> None:
    inspector = Inspector(KEYS)
    trees = [inspector.apdu(octets) for octets in association()]
    assert [tree.name for tree in trees] == ["AARQ", "AARE", "ded-get-request", "ded-get-response"]
    assert find(trees[0], "glo-initiate-request")
    assert find(trees[0], "calling-authentication-value").note == '"K56iVagY"'
    assert find(trees[1], "glo-initiate-response")
    assert find(trees[1], "conformance")
    assert find(trees[2], "deciphered").octets == GET
    assert find(trees[3], "double-long-unsigned").value == 42


def test_no_key_and_no_password_is_shown() -> None:
    aarq = association()[0]
    tree = inspect_dlms(aarq, KEYS)
    shown = to_text(tree) + json.dumps(to_dict(tree))
    assert find(tree, "key").note == "16 octets, not shown"
    lls = Aarq(
        mechanism=Mechanism.LLS,
        authentication=b"swordfish",
        user_information=InitiateRequest(Conformance.GET, 0, b"dedicated key 16").encode(),
    ).encode()
    tree = inspect_dlms(lls)
    shown += to_text(tree) + json.dumps(to_dict(tree))
    assert find(tree, "calling-authentication-value").note == "9 octets, not shown"
    for secret in (b"swordfish", b"dedicated key 16"):
        assert secret.decode() not in shown
        assert secret.hex() not in shown.lower()
        assert secret[:8].hex(" ") not in shown.lower()


def test_a_dedicated_key_of_no_suite_opens_nothing() -> None:
    inspector = Inspector(KEYS, client_title=TITLE)
    inspector.apdu(InitiateRequest(Conformance.GET, 0, dedicated_key=b"short").encode())
    tree = inspector.apdu(h("D0063000000001FF"))
    assert find(tree, "ciphertext").note.startswith("security.key: the dedicated key")


def test_user_information_that_is_no_apdu() -> None:
    tree = inspect_dlms(Aarq(user_information=b"\xff\x00").encode())
    assert find(tree, "error").note.startswith("no APDU begins with FF")


def test_nesting_is_bounded() -> None:
    """APDUs inside user-information inside APDUs: a tree all the same."""
    octets = GET
    for _ in range(50):
        octets = Aarq(user_information=octets).encode()
    tree = inspect_dlms(octets)
    assert find(tree, "error").note == "APDUs nested too deep"


def test_fields_of_acse_in_words() -> None:
    tree = inspect_dlms(
        h(
            "61 29 A1 05 06 03 2A0304 A2 03 02 01 00 A3 05 A1 03 02 01 0E 88 02 07 00"
            "89 07 60857405080205 AA 05 80 03 010203 BD 00"
        )
    )
    assert find(tree, "application-context-name").note == "not of DLMS"
    assert find(tree, "result").note == "accepted"
    assert find(tree, "result-source-diagnostic").note == "authentication-required"
    assert find(tree, "responder-acse-requirements").note == "none"
    assert find(tree, "mechanism-name").note == "hls-gmac"
    assert find(tree, "responding-authentication-value").note == ""


def test_an_unknown_field_of_acse() -> None:
    tree = inspect_dlms(h("62 05 80 01 00 B0 00"))
    assert find(tree, "field B0").value == ""
    assert find(tree, "reason").note == "normal"


def test_service_errors_in_words() -> None:
    assert find(inspect_dlms(h("0E010601")), "error").note == "dlms-version-too-low"
    assert find(inspect_dlms(h("0E050201")), "error").note == ""
    assert find(inspect_dlms(h("0E050901")), "kind").note == "task"
    assert find(inspect_dlms(h("D8010600000005")), "invocation-counter").value == 5


def test_what_is_no_apdu() -> None:
    with pytest.raises(DecodeError, match="no APDU begins"):
        inspect_dlms(b"\xff")
    assert Inspector().apdu_or_error(b"\xff", 7) == Node(
        "error", None, 7, b"\xff", (), "no APDU begins with FF (at octet 0)"
    )


def test_real_telegrams_have_trees() -> None:
    tree = inspect_hdlc(b"".join(telegrams()))
    assert len(tree.children) == 600
    assert {child.name for child in tree.children} == {"frame"}
    for frame, octets in zip(tree.children, notifications(), strict=True):
        assert find(frame, "data-notification").octets == octets
    assert find(tree, "LLC").note == "response"
    assert find(tree, "date-time").note == "2017-09-14 Thu 19:56:46"


SERVER = HdlcAddress.server(1, 0x1234 % 0x3FFF, size=4)
CLIENT = HdlcAddress(16)


def frame(kind: FrameKind, info: bytes = b"", *, segmented: bool = False, ns: int = 0) -> bytes:
    return Frame(SERVER, CLIENT, Control.of(kind, ns=ns), info, segmented).encode()


def test_segments_are_joined() -> None:
    llc = h("E6E600")
    octets = (
        frame(FrameKind.I, llc + GET[:5], segmented=True)
        + frame(FrameKind.I, GET[5:10], segmented=True, ns=1)
        + frame(FrameKind.RR)
        + frame(FrameKind.I, GET[10:], ns=2)
    )
    tree = inspect_hdlc(octets)
    assert [child.note.split()[0] for child in tree.children] == ["I", "I", "RR", "I"]
    assert find(tree.children[0], "segment").octets == llc + GET[:5]
    assert find(tree, "joined").octets == llc + GET
    assert find(tree, "get-request-normal").offset == 3
    assert find(tree, "format").note.endswith(", segmented")
    assert find(tree.children[3], "control").note == "I, P/F, N(S) 2, N(R) 0"


def test_link_set_up_in_words() -> None:
    limits = Limits(info_tx=512, info_rx=1024, window_tx=1, window_rx=7)
    tree = inspect_hdlc(frame(FrameKind.SNRM, limits.encode()))
    assert find(tree, "parameters").note == (
        "information 512 sent, 1024 taken; window 1 sent, 7 taken"
    )
    assert find(tree, "destination").note == "1/4660"
    broken = inspect_hdlc(frame(FrameKind.UA, b"\x00"))
    assert "format identifier" in find(broken, "parameters").note
    refused = inspect_hdlc(frame(FrameKind.FRMR, b"\x01\x02\x03"))
    assert find(refused, "information").value == "010203"
    unpolled = Frame(SERVER, CLIENT, Control.of(FrameKind.UI, final=False), GET).encode()
    assert find(inspect_hdlc(unpolled), "control").note == "UI, no P/F"
    assert find(inspect_hdlc(unpolled), "get-request-normal").offset == 11


def test_flags_shared_by_two_frames() -> None:
    one, two = frame(FrameKind.SNRM), frame(FrameKind.DISC)
    tree = inspect_hdlc(one + two[1:])
    assert [child.note.split()[0] for child in tree.children] == ["SNRM", "DISC"]


def test_noise_between_frames_is_kept() -> None:
    octets = b"\x00\xff" + frame(FrameKind.SNRM) + b"\x01\x02" + frame(FrameKind.DISC) + b"\x7e\xa0"
    tree = inspect_hdlc(octets)
    assert [child.name for child in tree.children] == [
        "no frame",
        "frame",
        "no frame",
        "frame",
        "no frame",
    ]
    assert tree.children[0].octets == b"\x00\xff"


def test_a_broken_apdu_in_a_good_frame() -> None:
    tree = inspect_hdlc(frame(FrameKind.I, h("E6E600") + GET[:-1]))
    assert find(tree, "error").octets == GET[:-1]
    assert find(tree, "LLC").note == "command"


@pytest.mark.parametrize("octets", ["", "00", "7E", "7E7E7E", "7EA0", "7EA007032193"])
def test_no_frame_at_all(octets: str) -> None:
    with pytest.raises(DecodeError):
        inspect_hdlc(h(octets))


def test_a_wrong_check_is_told_with_its_place() -> None:
    octets = bytearray(telegrams()[0])
    octets[-3] ^= 1
    with pytest.raises(DecodeError, match="FCS is wrong") as caught:
        inspect_hdlc(bytes(octets))
    assert caught.value.offset == len(octets) - 3


def test_packets() -> None:
    octets = Packet(16, 1, GET).encode() + Packet(1, 16, h("C401C10B")).encode()
    tree = inspect_wrapper(octets + b"\x00\x02")
    assert [child.name for child in tree.children] == ["packet", "packet", "no packet"]
    assert tree.children[0].note == "from 16 to 1"
    assert find(tree, "length").value == len(GET)
    assert find(tree, "instance-id").offset == 13
    assert find(tree.children[1], "error")


@pytest.mark.parametrize("octets", ["", "0001", "0002 0010 0001 0001 00", "0001 0010 0001 0002 00"])
def test_no_packet_at_all(octets: str) -> None:
    with pytest.raises(DecodeError):
        inspect_wrapper(h(octets))


def test_an_association_over_the_wrapper() -> None:
    octets = b"".join(Packet(1, 1, apdu).encode() for apdu in association())
    tree = inspect_wrapper(octets, KEYS)
    assert find(tree.children[3], "double-long-unsigned").value == 42


def test_ciphered_types_used_here() -> None:
    """The control of the published example, seen by the codec."""
    apdu = decode_apdu(CIPHERED)
    assert isinstance(apdu, CipheredApdu)
    assert SecurityControl(apdu.security_control) == BOTH
