"""The corpus before judges that share no line with us: libwbxml, tshark and a DTD."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.omadm.corpus import INLINE, MESSAGES, OPAQUE, TREE
from tools.run_tests import PARTS

from openami.omadm.codes import AlertCode
from openami.omadm.messages import MediaType, decode_message, encode_message
from openami.omadm.messages.model import Add, Alert, Message, Results
from openami.omadm.wbxml import parse_wbxml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openami.omadm.element import Element

DTD = Path(__file__).parent.parent / "vectors/omadm/syncml.dtd"
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
    files = []
    for name in MESSAGES.keys() - INLINE:
        file = tmp_path / f"{name}.xml"
        file.write_bytes(encode_message(MESSAGES[name], MediaType.XML))
        files.append(file)
    run("xmllint", "--noout", "--dtdvalid", DTD, *files)
    bad = tmp_path / "bad.xml"
    bad.write_bytes(files[0].read_bytes().replace(b"<MsgID>1</MsgID>", b""))
    with pytest.raises(AssertionError):
        run("xmllint", "--noout", "--dtdvalid", DTD, bad)


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
