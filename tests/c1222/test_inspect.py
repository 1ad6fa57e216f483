"""Trees of messages: what they show, and what never."""

from __future__ import annotations

from typing import Final

import pytest
from tests.support.c1222_vectors import MESSAGES, Message, named

from openami.c1222.apdu import Apdu, KeyUse
from openami.c1222.codes import Connection, NodeType, Qualifier, ResponseCode, SecurityMode
from openami.c1222.epsem import Epsem
from openami.c1222.inspect import Inspector, table_name
from openami.c1222.security import Keys, protect
from openami.c1222.services import (
    MANUFACTURER,
    PENDING,
    Done,
    Failure,
    Features,
    Identified,
    Identify,
    Identity,
    Read,
    ReadIndex,
    Register,
    Request,
    Response,
    Security,
    TableData,
    Trace,
    Write,
)
from openami.c1222.titles import C1222, MECHANISM, ApTitle
from openami.core.errors import DecodeError
from openami.core.inspection import Node, to_dict, to_text

METER: Final = ApTitle.parse(".123.8437")
SERVER: Final = ApTitle.parse(".123.4")
KEYS: Final = Keys({7: bytes(range(16))})


def asked(*requests: Request, mode: SecurityMode = SecurityMode.CLEAR, **fields: object) -> bytes:
    apdu = Apdu(1, METER, SERVER, key=KeyUse.at(7, 1e9) if mode else None)
    return protect(apdu, Epsem(tuple(r.encode() for r in requests), mode), KEYS)


def answered(*responses: Response) -> bytes:
    apdu = Apdu(9, SERVER, METER, answers=1)
    return protect(apdu, Epsem(tuple(r.encode() for r in responses)))


def leaves(node: Node) -> list[Node]:
    if not node.children:
        return [node]
    return [leaf for child in node.children for leaf in leaves(child)]


@pytest.mark.parametrize("message", MESSAGES, ids=named)
def test_leaves_stand_where_they_say(message: Message) -> None:
    """With their keys: what was deciphered has the offsets that it had before."""
    tree = Inspector(message.keys).message(message.raw)
    plain = message.raw[: -len(message.body)] + message.body
    if message.fields["mode"]:
        plain = message.raw[: -len(message.body) - 4] + message.body + message.raw[-4:]
    last = -1
    for leaf in leaves(tree):
        assert plain[leaf.offset : leaf.offset + len(leaf.octets)] == leaf.octets
        assert leaf.offset > last
        last = leaf.offset
    assert tree.octets == message.raw


def test_the_example_of_the_standard() -> None:
    inspector = Inspector(MESSAGES[0].keys)
    text = to_text(inspector.message(MESSAGES[0].raw))
    assert "called ApTitle: .123.8437" in text
    assert "initialization vector: 48F3D061 (2008-10-13T22:49:05Z)" in text
    assert "control: 136 (security mode 2 (encrypted), answered always)" in text
    assert "password (20 octets, not shown)" in text
    assert "table: 1 (ST-1)" in text
    assert "tag: 99C5D4E8 (right)" in text
    answer = to_text(inspector.message(MESSAGES[1].raw))
    assert "Table data" in answer
    assert '("MANUFACTURER SN ")' in answer


def test_passwords_are_in_no_tree() -> None:
    for mode in SecurityMode:
        for keys in (KEYS, Keys({})):
            raw = asked(Security.of(b"PASSWORD", 2), Read(1), mode=mode)
            tree = Inspector(keys).message(raw)
            assert "PASSWORD" not in to_text(tree)
            assert b"PASSWORD".hex().upper() not in str(to_dict(tree))


def test_what_cannot_be_opened_says_why() -> None:
    raw = asked(Read(23), mode=SecurityMode.ENCRYPTED)
    assert "no key has the id 7" in to_text(Inspector().message(raw))
    assert "tag is not right" in to_text(Inspector(Keys({7: bytes(16)})).message(raw))
    assert "sealed: " in to_text(Inspector().message(raw))


def test_what_is_only_authenticated_is_shown_without_a_key() -> None:
    text = to_text(Inspector().message(asked(Read(23), mode=SecurityMode.AUTHENTICATED)))
    assert "ST-23" in text
    assert "no key has the id 7" in text
    short = Apdu(1, METER, SERVER, information=b"\x84\x01").encode()
    assert "does not say its key" in to_text(Inspector().message(short))


def test_a_session_remembers_its_key() -> None:
    inspector = Inspector(KEYS)
    first = inspector.message(asked(Read(23), mode=SecurityMode.ENCRYPTED))
    assert "ST-23" in to_text(first)
    later = Apdu(2, METER, SERVER, information=b"\x88" + bytes(8)).encode()
    assert "tag is not right" in to_text(inspector.message(later))
    assert "does not say its key" in to_text(Inspector(KEYS).message(later))


def test_an_answer_is_read_by_its_request() -> None:
    inspector = Inspector()
    identified = Identified(
        3, 1, 0, Features(ApTitle(MECHANISM, False), 4, True, METER, Identity(1, b"OAMI"))
    )
    answer = answered(identified, TableData(b"\x01\x02"))
    assert "the request is not known" in to_text(inspector.message(answer))
    inspector.message(asked(Identify(), Read(1)))
    text = to_text(inspector.message(answer))
    assert "4 sessions, sessionless, .123.8437, OAMI" in text
    assert "data: 0102" in text


def test_answers_without_the_one_to_security() -> None:
    inspector = Inspector()
    inspector.message(asked(Security.of(b"x", 1), Read(1)))
    assert "Table data" in to_text(inspector.message(answered(TableData(b"x"))))
    assert "not known" in to_text(inspector.message(answered(Done(), Done(), Done())))


def test_failures_say_what_they_mean() -> None:
    inspector = Inspector()
    inspector.message(asked(Trace((METER,))))
    failure = Failure(ResponseCode.RQTL, 500, titles=(METER, SERVER))
    text = to_text(inspector.message(answered(failure)))
    assert "rqtl: request too large" in text
    assert "largest: 500" in text
    assert "titles: .123.8437, .123.4" in text


def test_every_field_of_the_envelope() -> None:
    apdu = Apdu(
        1, METER, None, qualifier=Qualifier.TEST | Qualifier.URGENT, context=C1222,
        mechanism=MECHANISM,
    )  # fmt: skip
    register = Register(NodeType.RELAY, Connection(0x50), b"ACME", METER, SERVER, b"", 60)
    services = (register.encode(), ReadIndex(1, (2, 3), 4).encode(), Write(5, b"\x01").encode())
    text = to_text(Inspector().message(protect(apdu, Epsem(services, ed_class=b"TEMP"))))
    for said in (
        "application context: 2.16.124.113620.1.22",
        "calling qualifier: 3 (test, urgent)",
        "security mechanism: 2.16.124.113620.1.22.2.1",
        'ED class: 54454D50 ("TEMP")',
        "node_type: 1 (relay)",
        "connection: 80 (connectionless, connected)",
        "path: 2, 3",
        "data: 01",
    ):
        assert said in text
    plain = Apdu(1, information=b"\x80").encode()
    assert "control: 128" in to_text(Inspector().message(plain))
    assert Inspector().message(Apdu(2, answers=1, information=b"\x80").encode())


def test_a_segment() -> None:
    raw = Apdu(1, METER, SERVER, total=900, reference=300, information=bytes(100)).encode()
    text = to_text(Inspector().message(raw))
    assert "size of the whole: 900" in text
    assert "octets 300 to 400 of 900" in text


def test_a_service_that_is_none_is_shown_as_it_is() -> None:
    apdu = Apdu(1, METER, SERVER, information=b"\x80\x02\x77\x01\x01\x20")
    text = to_text(Inspector().message(apdu.encode()))
    assert "service: 7701 (no service has the code 77" in text
    assert "Identify" in text


@pytest.mark.parametrize("information", [b"", b"\x00", b"\x80\x05"])
def test_no_trees(information: bytes) -> None:
    with pytest.raises(DecodeError):
        Inspector().message(Apdu(1, information=information).encode())


def test_tables_have_names() -> None:
    assert table_name(23) == "ST-23"
    assert table_name(MANUFACTURER | 5) == "MT-5"
    assert table_name(PENDING | 7) == "pending ST-7"
