"""Messages of all kinds, as typed values: what the codec's tests and their judges work on."""

from __future__ import annotations

from openami.omadm.codes import AlertCode, Status
from openami.omadm.element import Element, Page
from openami.omadm.messages.model import (
    Add,
    Alert,
    Anchor,
    Atomic,
    Chal,
    Command,
    Copy,
    Cred,
    Delete,
    Exec,
    Get,
    Header,
    Item,
    Location,
    Memory,
    Message,
    Meta,
    Replace,
    Results,
    Sequence,
    StatusReport,
    Unsupported,
)
from openami.omadm.wbxml import DocumentKind, write_wbxml

SERVER = Location("https://dm.example.org/dm")
DEVICE = Location("urn:uuid:0b2c", "dcu-7")
MD5 = Meta(format="b64", type="syncml:auth-md5")


def server(*commands: Command, final: bool = True, **header: object) -> Message:
    """Return a message from the server."""
    return Message(Header("1F", 1, DEVICE, SERVER, **header), commands, final)  # type: ignore[arg-type] # any field


def client(*commands: Command, final: bool = True, **header: object) -> Message:
    """Return a message from the client."""
    return Message(Header("1F", 1, SERVER, DEVICE, **header), commands, final)  # type: ignore[arg-type] # any field


def at(uri: str, data: str | None = None, format: str | None = None) -> Item:  # noqa: A002 - metinf's name
    """Return an item that targets a node."""
    return Item(target=Location(uri), meta=Meta(format=format) if format else None, data=data)


def of(uri: str, data: str | None = None, format: str | None = None) -> Item:  # noqa: A002 - metinf's name
    """Return an item that comes from a node."""
    return Item(source=Location(uri), meta=Meta(format=format) if format else None, data=data)


def done(cmd_id: int, ref: int, name: str, status: int, **rest: object) -> StatusReport:
    """Return the Status of a command of message 1."""
    return StatusReport(cmd_id, 1, ref, name, int(status), **rest)  # type: ignore[arg-type] # any field


HEADER_OK = done(1, 0, "SyncHdr", Status.OK, target_refs=(SERVER.uri,), source_refs=(DEVICE.uri,))
DEV_INFO = Replace(
    3,
    (
        of("./DevInfo/DevId", "urn:uuid:0b2c"),
        of("./DevInfo/Man", "Ünïcode & Söhne <GmbH>"),
        of("./DevInfo/Mod", "DCU \"7\" 'x'"),
        of("./DevInfo/DmV", "1.0"),
        of("./DevInfo/Lang", "en"),
    ),
)


def _ddf(name: str, *content: Element | str) -> Element:
    if content and isinstance(content[0], str):
        return Element(Page.DDF, name, content[0])
    return Element(Page.DDF, name, tuple(c for c in content if isinstance(c, Element)))


TREE = _ddf(
    "MgmtTree",
    _ddf("VerDTD", "1.2"),
    _ddf(
        "Node",
        _ddf("NodeName", "Ext"),
        _ddf("Path", "./DevInfo"),
        _ddf(
            "RTProperties",
            _ddf("Format", _ddf("chr")),
            _ddf("Type", _ddf("MIME", "text/plain")),
        ),
        _ddf("Value", "v"),
    ),
)

_TREE_OCTETS = write_wbxml(TREE, kind=DocumentKind.DDF)


def _alert(code: AlertCode, *items: Item, correlator: str | None = None) -> Message:
    return client(Alert(2, code, items, correlator), final=code is not AlertCode.NEXT_MESSAGE)


def _text(text: str) -> Item:
    return Item(data=text)


_GENERIC = Meta(
    format="int", type="org.openmobilealliance.dm.firmwareupdate.download", mark="fatal"
)

MESSAGES: dict[str, Message] = {
    "answer": server(HEADER_OK),
    "not-final": server(HEADER_OK, final=False),
    "package-1-server-initiated": client(Alert(2, AlertCode.SERVER_INITIATED), DEV_INFO),
    "package-1-client-initiated": client(Alert(2, AlertCode.CLIENT_INITIATED), DEV_INFO),
    "package-1-basic": client(
        Alert(2, AlertCode.CLIENT_INITIATED),
        DEV_INFO,
        cred=Cred(Meta(format="b64", type="syncml:auth-basic"), "QnJ1Y2UyOk9oQmVoYXZl"),
    ),
    "package-1-md5": client(
        Alert(2, AlertCode.CLIENT_INITIATED), DEV_INFO, cred=Cred(MD5, "Zz6EivR3yeaaENcRN6lpAQ==")
    ),
    "package-1-sizes": client(
        Alert(2, AlertCode.CLIENT_INITIATED),
        DEV_INFO,
        meta=Meta(max_msg_size=16384, max_obj_size=1_000_000),
    ),
    "header-whole": server(
        HEADER_OK,
        resp_uri="https://dm.example.org/dm?s=1&t=2",
        no_resp=True,
        cred=Cred(Meta(), "x"),
        meta=Meta(emi=("a", "b"), version="1.2"),
    ),
    "header-other-versions": server(HEADER_OK, ver_dtd="1.1", ver_proto="DM/1.1"),
    "challenge-md5": server(
        done(1, 0, "SyncHdr", Status.AUTHENTICATED, chal=Chal(Meta("b64", "syncml:auth-md5", next_nonce=b"Nonce")))
    ),
    "challenge-mac": server(
        done(1, 0, "SyncHdr", Status.OK, chal=Chal(Meta("b64", "syncml:auth-MAC", next_nonce=bytes(range(32)))))
    ),
    "challenge-resynchronise": server(
        done(1, 0, "SyncHdr", Status.MISSING_CREDENTIALS, chal=Chal(Meta("b64", "syncml:auth-md5", next_nonce=bytes(4)))),
        done(2, 2, "Alert", Status.MISSING_CREDENTIALS),
        done(3, 3, "Replace", Status.MISSING_CREDENTIALS),
    ),
    "refused": server(
        done(1, 0, "SyncHdr", Status.INVALID_CREDENTIALS), done(2, 2, "Alert", Status.INVALID_CREDENTIALS)
    ),
    "status-with-credentials": client(
        StatusReport(1, 2, 0, "SyncHdr", 200, cred=Cred(MD5, "Zz6EivR3yeaaENcRN6lpAQ=="))
    ),
    "status-with-items": client(
        HEADER_OK, done(2, 5, "Alert", Status.OK, items=(_text("typed"), of("./A", "b")))
    ),
    "status-many-references": client(
        done(1, 4, "Add", Status.ALREADY_EXISTS, target_refs=("./A", "./B"), source_refs=("./C", "./D"))
    ),
    "status-unknown": client(done(1, 4, "Add", 599)),
    "package-2": server(
        HEADER_OK,
        done(2, 2, "Alert", Status.OK),
        done(3, 3, "Replace", Status.OK),
        Get(4, (at("./DevDetail/FwV"),)),
        Replace(5, (at("./OpenAMI/Collect/Period", "900", "int"),)),
    ),
    "get-one": server(Get(2, (at("./DevInfo"),))),
    "get-many": server(Get(2, tuple(at(f"./A/{n}") for n in range(20)))),
    "get-property": server(Get(2, (at("./DevInfo?prop=ACL"),))),
    "get-list": server(Get(2, (at("./DevInfo?list=TNDS+Value+ACL"),), meta=Meta(type="x"))),
    "results-leaf": client(
        HEADER_OK,
        done(2, 4, "Get", Status.OK),
        Results(3, 4, (of("./DevDetail/FwV", "1.4.2", "chr"),), msg_ref=1),
    ),
    "results-interior": client(Results(3, 4, (of("./DevInfo", "Man/Mod/DmV", "node"),), msg_ref=1)),
    "results-empty": client(Results(3, 4, (of("./A", "", "node"),), msg_ref=1)),
    "results-references": client(
        Results(3, 4, (of("./A", "x"),), 1, Meta(format="chr", type="text/plain"), "./A", "./B")
    ),
    "results-tnds": client(
        Results(
            3,
            4,
            (
                Item(
                    source=Location("./DevInfo?list=TNDS"),
                    meta=Meta(format="xml", type="application/vnd.syncml.dmtnds+xml"),
                    data=TREE,
                ),
            ),
        )
    ),
    "add-leaf": server(Add(2, (at("./A/B", "value", "chr"),))),
    "add-interior": server(Add(2, (at("./A/C", None, "node"),), meta=Meta(type="urn:x:mo:1"))),
    "add-many": server(Add(2, tuple(at(f"./A/{n}", str(n), "int") for n in range(30)))),
    "add-base64": server(
        Add(2, (Item(Location("./A/K"), meta=Meta("b64", "application/octet-stream"), data="AAECAw=="),))
    ),
    "add-tnds": server(
        Add(
            2,
            (
                Item(
                    Location("./Inbox"),
                    meta=Meta(format="xml", type="application/vnd.syncml.dmtnds+xml"),
                    data=TREE,
                ),
            ),
        )
    ),
    "add-with-credentials": server(
        Add(2, (at("./A/B", "v"),), Meta(format="chr"), Cred(MD5, "x"), no_resp=True)
    ),
    "replace-text": server(Replace(2, (at("./A", "line 1\r\nline 2\ttab  two", "chr"),))),
    "replace-acl": server(Replace(2, (at("./A?prop=ACL", "Add=*&Get=dm+x&Replace=dm", "chr"),))),
    "replace-types": server(
        Replace(2, tuple(at(f"./A/{f}", "1", f) for f in ("bool", "chr", "int", "float", "date", "time", "null")))
    ),
    "replace-wide": server(Replace(2, (at("./A", "전력 계량기 \U0001f50c", "chr"),))),
    "copy": server(Copy(2, (Item(Location("./A"), Location("./B")),))),
    "delete": server(Delete(2, (at("./A"), at("./B")))),
    "exec": server(Exec(2, at("./FUMO/x/Update"))),
    "exec-whole": server(
        Exec(2, at("./FUMO/x/Download", "x"), Meta(format="chr"), "job-1", Cred(MD5, "x"), no_resp=True)
    ),
    "atomic": server(
        Atomic(2, (Add(3, (at("./A", "1"),)), Replace(4, (at("./B", "2"),)), Delete(5, (at("./C"),))))
    ),
    "atomic-meta": server(Atomic(2, (Add(3, (at("./A", "1"),)),), Meta(version="1"), no_resp=True)),
    "sequence": server(Sequence(2, (Get(3, (at("./A"),)), Delete(4, (at("./A"),))))),
    "sequence-of-atomic": server(
        Sequence(2, (Atomic(3, (Add(4, (at("./A", "1"),)),)), Exec(5, at("./B"))))
    ),
    "alert-display": server(Alert(2, AlertCode.DISPLAY, (_text("MINDT=10"), _text("Hello")))),
    "alert-confirm": server(Alert(2, AlertCode.CONFIRM, (_text("MINDT=10&DR=1"), _text("Update now?")))),
    "alert-text": server(Alert(2, AlertCode.TEXT_INPUT, (_text("IT=A"), _text("Name?")))),
    "alert-choice": server(
        Alert(2, AlertCode.SINGLE_CHOICE, (_text(""), _text("Which?"), _text("a"), _text("b")))
    ),
    "alert-choices": server(
        Alert(2, AlertCode.MULTIPLE_CHOICE, (_text("DR=1-2"), _text("Which?"), _text("a"), _text("b")))
    ),
    "alert-next": _alert(AlertCode.NEXT_MESSAGE),
    "alert-abort": _alert(AlertCode.SESSION_ABORT),
    "alert-event": _alert(AlertCode.CLIENT_EVENT, of("./A", "x", "chr")),
    "alert-no-end": _alert(AlertCode.NO_END_OF_DATA, of("./A")),
    "alert-generic": _alert(
        AlertCode.GENERIC, Item(source=Location("./FUMO/x"), meta=_GENERIC, data="200"), correlator="job-1"
    ),
    "chunk-first": server(
        Add(2, (Item(Location("./A"), meta=Meta(format="chr", size=3000), data="x" * 1000, more_data=True),))
    ),
    "chunk-middle": server(Add(2, (Item(Location("./A"), data="y" * 1000, more_data=True),))),
    "chunk-last": server(Add(2, (Item(Location("./A"), data="z" * 1000),))),
    "chunk-accepted": client(
        HEADER_OK, done(2, 2, "Add", Status.CHUNK_ACCEPTED), Alert(3, AlertCode.NEXT_MESSAGE), final=False
    ),
    "meta-whole": server(
        Get(
            2,
            (Item(Location("./A"), meta=Meta("chr", "text/plain", "harmless", 5, Anchor("2", "1"), "v", b"\0\1", 1, 2, ("e",), Memory(True, 7, 8))),),
        )
    ),
    "meta-anchor": server(Get(2, (at("./A"),), Meta(anchor=Anchor("2"), memory=Memory(False, 7, 8)))),
    "synchronisation": server(
        Unsupported("Map", 2), Unsupported("Put", 3), Unsupported("Search", 4), Unsupported("Sync", 5)
    ),
}  # fmt: skip
# A tree as elements in Data: it stands there in practice, though the DTD has only characters.
INLINE = frozenset({"results-tnds", "add-tnds"})
# The same trees as WBXML has them, a document in opaque octets: no XML is possible.
_TNDS = Meta(format="xml", type="application/vnd.syncml.dmtnds+wbxml")
OPAQUE: dict[str, Message] = {
    "results-tnds": client(
        Results(
            3, 4, (Item(source=Location("./DevInfo?list=TNDS"), meta=_TNDS, data=_TREE_OCTETS),)
        )
    ),
    "add-tnds": server(Add(2, (Item(Location("./Inbox"), meta=_TNDS, data=_TREE_OCTETS),))),
}
