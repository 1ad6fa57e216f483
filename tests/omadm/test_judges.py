"""The corpus before judges that share no line with us: libwbxml, tshark and a DTD."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.omadm.corpus import INLINE, MESSAGES, OPAQUE, TREE
from tests.support.dm_tree import Server, open_tree
from tests.support.dm_wire import NOW, Wire, account, order, read
from tools.run_tests import PARTS

from openami.omadm.auth import Scheme
from openami.omadm.codes import AlertCode
from openami.omadm.messages import MediaType, decode_message, encode_message
from openami.omadm.messages.model import (
    Add,
    Alert,
    Atomic,
    Delete,
    Exec,
    Get,
    Item,
    Location,
    Message,
    Meta,
    Replace,
    Results,
    Sequence,
)
from openami.omadm.objects.catalog import OBJECTS, ddf
from openami.omadm.session.events import End, Order
from openami.omadm.tree.schema import read_ddf
from openami.omadm.tree.tnds import read_tnds
from openami.omadm.tree.uri import UriLimits
from openami.omadm.tree.visit import Visit
from openami.omadm.wbxml import DocumentKind, parse_wbxml, write_wbxml
from openami.omadm.xml import parse_xml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from openami.omadm.element import Element

VECTORS = Path(__file__).parent.parent / "vectors/omadm"
DTD = VECTORS / "syncml.dtd"
DDF_DTD = VECTORS / "ddf.dtd"
# By this libwbxml knows which code page a tree is written with.
DOCTYPE = (
    f'<!DOCTYPE MgmtTree PUBLIC "{DocumentKind.DDF}" '
    '"http://www.openmobilealliance.org/tech/DTD/DM_DDF-V1_2.dtd">'
)
# Of data synchronisation, which device management has no use for (OMA-TS-DM_RepPro 1.2, 6).
UNUSED = {"Archive", "Lang", "SftDel"}


def needs(*commands: str) -> pytest.MarkDecorator:
    """Skip a test where its judges are not: ``make test`` then names them at its end."""
    absent = [command for command in commands if shutil.which(command) is None]
    return pytest.mark.skipif(bool(absent), reason=f"no {', '.join(absent)}")


def run(*arguments: str | Path) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tree_of(message: Message) -> Element:
    """Return the tree of a message whose only item holds one in octets."""
    command = message.commands[0]
    assert isinstance(command, Add | Results)
    data = command.items[0].data
    assert isinstance(data, bytes)
    return parse_wbxml(data).element


def check(octets: bytes, name: str) -> None:
    """Check octets that libwbxml wrote; the version of a document inside is its own affair."""
    message = decode_message(octets, MediaType.WBXML)
    if name in INLINE:
        assert tree_of(message) == TREE
    else:
        assert message == MESSAGES[name]


def validate(dtd: Path, folder: Path, documents: Mapping[str, bytes]) -> None:
    """Check documents, by name, against a DTD."""
    files = [folder / f"{name}.xml" for name in documents]
    for file, octets in zip(files, documents.values(), strict=True):
        file.write_bytes(octets)
    run("xmllint", "--noout", "--dtdvalid", dtd, *files)


def walk(element: Element) -> Iterator[Element]:
    yield element
    if isinstance(element.content, tuple):
        for child in element.content:
            yield from walk(child)


def test_the_corpus_has_messages_of_all_kinds() -> None:
    """Every element of the DTD, and every alert."""
    assert len(MESSAGES) >= 40
    trees = [parse_wbxml(encode_message(m, MediaType.WBXML)).element for m in MESSAGES.values()]
    found = {element.name for tree in trees for element in walk(tree)}
    assert set(re.findall(r"<!ELEMENT (\w+)", DTD.read_text("utf-8"))) - found == UNUSED
    alerts = {c.data for m in MESSAGES.values() for c in m.commands if isinstance(c, Alert)}
    assert alerts == set(AlertCode)


def test_a_judge_that_is_not_there_is_told_of() -> None:
    """Debian's packages of the judges are those that ``make test`` installs, or names as missing."""
    judges = {"wbxml2xml": "libwbxml2-utils", "tshark": "tshark", "xmllint": "libxml2-utils"}
    assert {command: PARTS[command][0] for command in judges} == judges


@needs("wbxml2xml", "xml2wbxml")
@pytest.mark.parametrize("name", MESSAGES)
def test_libwbxml_reads_and_writes_the_same_message(name: str, tmp_path: Path) -> None:
    ours, back, again, table = (tmp_path / n for n in ("m.wbxml", "m.xml", "2.wbxml", "t.wbxml"))
    message = OPAQUE.get(name, MESSAGES[name])
    ours.write_bytes(encode_message(message, MediaType.WBXML))
    run("wbxml2xml", "-m", "0", "-o", back, ours)
    run("xml2wbxml", "-n", "-v", "1.2", "-o", again, back)
    run("xml2wbxml", "-v", "1.3", "-o", table, back)
    for octets in (again.read_bytes(), table.read_bytes()):
        check(octets, name)


@needs("wbxml2xml", "xml2wbxml")
@pytest.mark.parametrize("name", MESSAGES)
def test_libwbxml_takes_our_xml(name: str, tmp_path: Path) -> None:
    ours, wbxml = tmp_path / "m.xml", tmp_path / "m.wbxml"
    ours.write_bytes(encode_message(MESSAGES[name], MediaType.XML))
    run("xml2wbxml", "-n", "-v", "1.2", "-o", wbxml, ours)
    # It writes a CR before every LF, also where there is one.
    check(wbxml.read_bytes().replace(b"\r\r\n", b"\r\n").replace(b"\xc3\x18", b"\xc3\x17"), name)


@needs("xmllint")
def test_xml_is_valid_by_the_dtd(tmp_path: Path) -> None:
    names = MESSAGES.keys() - INLINE
    validate(DTD, tmp_path, {n: encode_message(MESSAGES[n], MediaType.XML) for n in names})


STATUS = "<Status><CmdID>9</CmdID><MsgRef>1</MsgRef><CmdRef>2</CmdRef><Cmd>Get</Cmd><Data>200</Data></Status>"
SEQUENCE = "<Sequence><CmdID>9</CmdID><Get><CmdID>3</CmdID><Item/></Get></Sequence>"


@needs("xmllint")
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("get-one", r"<MsgID>1</MsgID>", ""),
        ("get-one", r"<Get>.*</Get>", ""),
        ("get-one", r"</Get><Final/>", "</Get><Final/><Final/>"),
        ("atomic", r"</Add>", f"</Add>{STATUS}"),
        ("sequence", r"</Get>", f"</Get>{STATUS}"),
        ("sequence", r"</Get>", f"</Get>{SEQUENCE}"),
        ("ami", r"<Get/><Replace/>", "<Replace/><Get/>"),
        ("ami", r"<DFType>.*?</DFType>", ""),
    ],
)
def test_what_is_not_valid_by_the_dtd(name: str, old: str, new: str, tmp_path: Path) -> None:
    """The DTDs of these tests are as narrow as the standards' are."""
    message = name in MESSAGES
    good = encode_message(MESSAGES[name], MediaType.XML) if message else ddf(name)
    bad, changes = re.subn(old, new, good.decode(), count=1, flags=re.DOTALL)
    assert changes == 1
    with pytest.raises(AssertionError, match="does not follow the DTD"):
        validate(DTD if message else DDF_DTD, tmp_path, {name: bad.encode()})


def put(uri: str) -> Replace:
    return Replace(0, (Item(Location(uri), data="x"),))


LONG = "<é&>" * 200
ORDERS = (
    order("add", Add, "./A", "one"),
    order("none", Get, "./B"),
    order("large", Add, "./L", LONG),
    order("back", Get, "./L"),
    order("octets", Add, "./O", bytes(range(256))),
    order("octets back", Get, "./O"),
    Order("atomic", Atomic(0, (put("./A"), put("./O")))),
    Order("undone", Atomic(0, (put("./A"), put("./B"), put("./O")))),
    Order("sequence", Sequence(0, (put("./A"), Get(0, (Item(Location("./A")),))))),
    Order("exec", Exec(0, Item(Location("./Run")), correlator="job-1")),
    Order("told", Alert(0, AlertCode.DISPLAY, (Item(data="MINDT=1"), Item(data="Hello")))),
    order("delete", Delete, "./A"),
)
TOLD = Alert(0, AlertCode.GENERIC, (Item(meta=Meta("chr", "urn:x:told"), data="x"),), "job-1")


OF_THE_TREE = (
    order("names", Get, "./AMI"),
    order("struct", Get, "./SCHED?list=Struct"),
    order("data", Get, "./AMI/Time?list=StructData"),
    order("tnds", Get, "./AMI/Link?list=TNDS"),
    order("refused", Replace, "./AMI/Time/Source", "moon"),
    order("acl", Replace, "./AMI/Time?prop=ACL", "Get=*"),
    order("delete", Delete, "./AMI"),
)


def sessions() -> Iterator[Wire]:
    """Yield sessions in XML: every scheme, small messages, at once believed or asked for more."""
    for scheme in Scheme:
        for size in (2_000, 65_536):
            for nonce in (b"c0", b"stale"):
                wire = Wire(
                    account(scheme, client=nonce), account(scheme), ORDERS,
                    media=MediaType.XML, client_size=size, server_size=size,
                )  # fmt: skip
                wire.client.say(TOLD)
                wire.run()
                assert wire.done["delete"].status == 200
                yield wire
    visit = Visit(open_tree(), "head-end", NOW, octets=False)
    wire = Wire(orders=OF_THE_TREE, media=MediaType.XML, instead=visit)
    wire.run()
    statuses = [wire.done[one.id].status for one in OF_THE_TREE]
    assert statuses == [200, 200, 200, 200, 500, 200, 405]
    yield wire


@needs("xmllint")
def test_what_sessions_send_is_valid_by_the_dtd(tmp_path: Path) -> None:
    """Requests and answers of whole sessions, not only what tests have made up."""
    held = list(sessions())
    assert {end.end for wire in held for end in wire.ends} == {End.DONE}
    sent = [out for wire in held for out in (*wire.requests, *wire.answers)]
    assert {out.content_type for out in sent} == {MediaType.XML}
    validate(DTD, tmp_path, {str(number): out.body for number, out in enumerate(sent)})
    kinds = {type(command).__name__ for out in sent for command in read(out).commands}
    assert kinds >= {"Atomic", "Sequence", "Results", "StatusReport", "Alert", "Exec"}
    for element in (b"<Cred>", b"<Chal>", b"<MoreData", b"<Correlator>", b"<MaxMsgSize "):
        assert any(element in out.body for out in sent), element


def listings() -> dict[str, bytes]:
    """Return subtrees of a device as a server gets them."""
    server = Server(open_tree(), octets=False)
    assert server.add("./SCHED/t1/TaskID", "a & b < c") == 200
    assert server.replace("./SCHED/t1?prop=Title", "First") == 200
    assert server.add("./DMAcc/x/AppAuth/1/AAuthName", "dcu-7") == 200
    assert server.add("./FUMO/x/Ext/Maker/Own", "ünï", "chr", "text/x-own") == 200
    asked = (
        ".?list=TNDS", "./DMAcc?list=TNDS", "./SCHED/t1?list=TNDS", "./FUMO?list=TNDS",
        "./AMI?list=TNDS-Format-Value", "./AMI/Link?list=TNDS+Type+Value",
        "./AMI/Link/Retries?list=TNDS+Value",
    )  # fmt: skip
    found = {}
    for number, address in enumerate(asked):
        data = server.data(address)
        assert isinstance(data, str)
        found[str(number)] = data.encode()
    return found


@needs("xmllint")
def test_descriptions_and_listings_are_valid_by_the_dtd(tmp_path: Path) -> None:
    validate(DDF_DTD, tmp_path, {name: ddf(name) for name in OBJECTS} | listings())


@needs("wbxml2xml", "xml2wbxml")
@pytest.mark.parametrize("name", OBJECTS)
def test_libwbxml_reads_and_writes_the_same_description(name: str, tmp_path: Path) -> None:
    document = parse_xml(ddf(name))
    assert read_ddf(through_libwbxml(ddf(name), tmp_path)) == read_ddf(document)
    ours, back = tmp_path / "ours.wbxml", tmp_path / "back.xml"
    ours.write_bytes(write_wbxml(document, kind=DocumentKind.DDF))
    run("wbxml2xml", "-m", "0", "-o", back, ours)
    assert read_ddf(parse_xml(undeclared(back.read_bytes()))) == read_ddf(document)


@needs("xml2wbxml")
def test_libwbxml_writes_the_same_listings(tmp_path: Path) -> None:
    limits = UriLimits()
    for listing in listings().values():
        there = through_libwbxml(listing, tmp_path)
        assert read_tnds(there, limits) == read_tnds(parse_xml(listing), limits)


def undeclared(octets: bytes) -> bytes:
    """Return a document without its DOCTYPE, which we refuse."""
    return re.sub(rb"<!DOCTYPE[^>]*>", b"", octets)


def through_libwbxml(octets: bytes, folder: Path) -> Element:
    """Return a tree in XML as libwbxml writes it, with a string table and without."""
    declared, wbxml = folder / "declared.xml", folder / "tree.wbxml"
    head, mark, rest = octets.rpartition(b"?>")
    declared.write_bytes(head + mark + DOCTYPE.encode() + rest)
    run("xml2wbxml", "-v", "1.3", "-o", wbxml, declared)
    with_table = parse_wbxml(wbxml.read_bytes())
    run("xml2wbxml", "-n", "-v", "1.2", "-o", wbxml, declared)
    plain = parse_wbxml(wbxml.read_bytes())
    assert (with_table.kind, plain.kind) == (DocumentKind.DDF, DocumentKind.DDF)
    assert with_table.element == plain.element
    return plain.element


@pytest.mark.peer
@needs("tshark", "text2pcap")
def test_tshark_names_the_same_tags_and_strings(tmp_path: Path) -> None:
    names = list(MESSAGES.keys() - INLINE)  # tshark has no page of DDF
    hexdump, capture = tmp_path / "all.hex", tmp_path / "all.pcap"
    lines = []
    for name in names:
        body = encode_message(MESSAGES[name], MediaType.WBXML)
        head = f"POST /dm HTTP/1.1\r\nContent-Type: {MediaType.WBXML}\r\nContent-Length: {len(body)}\r\n\r\n"
        octets = head.encode() + body
        lines += [f"{at:06x} {octets[at : at + 16].hex(' ')}" for at in range(0, len(octets), 16)]
    hexdump.write_text("\n".join(lines) + "\n")
    run("text2pcap", "-q", "-T", "40000,80", hexdump, capture)
    # Every message is a packet of its own at TCP's first number: no reassembly over packets.
    fields = ("wbxml.known_tag", "wbxml.str_i", "wbxml.public_id.known", "wbxml.version")
    shown = run(
        "tshark", "-r", capture, "-o", "tcp.desegment_tcp_streams:FALSE", "-o", "http.desegment_body:FALSE",
        "-o", "tcp.analyze_sequence_numbers:FALSE",
        "-T", "fields", "-E", "separator=\x1e", "-E", "aggregator=\x1f", *(part for f in fields for part in ("-e", f)),
    ).removesuffix("\n").split("\n")  # fmt: skip
    assert len(shown) == len(names)
    for name, line in zip(names, shown, strict=True):
        tags, strings, public_id, version = line.split("\x1e")
        assert (int(public_id, 0), int(version, 0)) == (0x1201, 2), name
        elements = list(walk(parse_wbxml(encode_message(MESSAGES[name], MediaType.WBXML)).element))
        assert tags.split("\x1f") == [element.name for element in elements], name
        ours = [element.content for element in elements if isinstance(element.content, str)]
        shown_as = str.maketrans({"\r": r"\r", "\n": r"\n", "\t": r"\t"})
        assert strings.split("\x1f") == [text.translate(shown_as) for text in ours], name
