"""The elements of SyncML and metinf as records (OMA-SyncML-RepPro 1.2, 6; OMA-SyncML-MetaInfo 1.2).

The order of the fields is that of the DTD.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from openami.omadm.element import Element, Page
from openami.omadm.messages import model as m
from openami.omadm.messages.schema import (
    CODE,
    FLAG,
    NUMBER,
    OCTETS,
    TEXT,
    Content,
    Field,
    Kind,
    Occurs,
    Problem,
    Reading,
    Record,
    children,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_METINF: Final = Page.METINF
_ONCE: Final = Occurs.ONCE


def _meta(attribute: str, name: str, kind: Kind, occurs: Occurs = Occurs.AT_MOST_ONCE) -> Field:
    return Field(attribute, name, kind, occurs, _METINF)


LOCATION: Final = Record(
    m.Location, (Field("uri", "LocURI", TEXT, _ONCE), Field("name", "LocName", TEXT))
).kind
_ANCHOR: Final = Record(
    m.Anchor, (_meta("last", "Last", TEXT), _meta("next", "Next", TEXT, _ONCE))
).kind


def _memory(free_octets: int, free_ids: int, *, shared: bool = False) -> m.Memory:
    return m.Memory(shared=shared, free_octets=free_octets, free_ids=free_ids)


_MEMORY: Final = Record(
    _memory,
    (
        _meta("shared", "SharedMem", FLAG, Occurs.FLAG),
        _meta("free_octets", "FreeMem", NUMBER, _ONCE),
        _meta("free_ids", "FreeID", NUMBER, _ONCE),
    ),
).kind
_METINF_RECORD: Final = Record(
    m.Meta,
    (
        _meta("format", "Format", TEXT),
        _meta("type", "Type", TEXT),
        _meta("mark", "Mark", TEXT),
        _meta("size", "Size", NUMBER),
        _meta("anchor", "Anchor", _ANCHOR),
        _meta("version", "Version", TEXT),
        _meta("next_nonce", "NextNonce", OCTETS),
        _meta("max_msg_size", "MaxMsgSize", NUMBER),
        _meta("max_obj_size", "MaxObjSize", NUMBER),
        _meta("emi", "EMI", TEXT, Occurs.ANY),
        _meta("memory", "Mem", _MEMORY),
    ),
    ignored=frozenset({"FieldLevel"}),
)


def _read_meta(element: Element, reading: Reading) -> m.Meta:
    """Return meta information; some peers put the root element of metinf around it."""
    inside = children(element)
    if len(inside) == 1 and inside[0].name == "MetInf":
        element = inside[0]
    meta: m.Meta = _METINF_RECORD.read(element, reading)
    return meta


META: Final = Kind(_read_meta, _METINF_RECORD.write)
_META_FIELD: Final = Field("meta", "Meta", META)


def _cred(data: str, meta: m.Meta | None = None) -> m.Cred:
    return m.Cred(meta or m.Meta(), data)


_CRED_RECORD: Final = Record(_cred, (_META_FIELD, Field("data", "Data", TEXT, _ONCE)))
CRED: Final = _CRED_RECORD.kind
CHAL: Final = Record(m.Chal, (Field("meta", "Meta", META, _ONCE),)).kind


def _read_data(element: Element, _reading: Reading) -> str | bytes | Element:
    content = element.content
    if not isinstance(content, tuple):
        return content
    if len(content) > 1:
        raise Problem("one document wanted", element.offset)
    return content[0] if content else ""


def _write_data(data: str | bytes | Element) -> Content:
    return (data,) if isinstance(data, Element) else data or ()


_ITEM_RECORD: Final = Record(
    m.Item,
    (
        Field("target", "Target", LOCATION),
        Field("source", "Source", LOCATION),
        _META_FIELD,
        Field("data", "Data", Kind(_read_data, _write_data)),
        Field("more_data", "MoreData", FLAG, Occurs.FLAG),
    ),
)


def _read_item(element: Element, reading: Reading) -> m.Item:
    reading.item()
    item: m.Item = _ITEM_RECORD.read(element, reading)
    return item


ITEM: Final = Kind(_read_item, _ITEM_RECORD.write)

_CMD_ID: Final = Field("cmd_id", "CmdID", NUMBER, _ONCE)
_NO_RESP: Final = Field("no_resp", "NoResp", FLAG, Occurs.FLAG)
_CRED: Final = Field("cred", "Cred", CRED)
_CORRELATOR: Final = Field("correlator", "Correlator", TEXT)
_ITEMS: Final = Field("items", "Item", ITEM, Occurs.AT_LEAST_ONCE)
_SOME_ITEMS: Final = Field("items", "Item", ITEM, Occurs.ANY)

# Of data synchronisation: the DTD has them, device management does not use them.
_UNUSED: Final = frozenset({"Archive", "SftDel", "Lang", "NoResults", "NumberOfChanges"})

_STATUS: Final = Record(
    m.StatusReport,
    (
        _CMD_ID,
        Field("msg_ref", "MsgRef", NUMBER, _ONCE),
        Field("cmd_ref", "CmdRef", NUMBER, _ONCE),
        Field("cmd", "Cmd", TEXT, _ONCE),
        Field("target_refs", "TargetRef", TEXT, Occurs.ANY),
        Field("source_refs", "SourceRef", TEXT, Occurs.ANY),
        _CRED,
        Field("chal", "Chal", CHAL),
        Field("data", "Data", CODE, _ONCE),
        _SOME_ITEMS,
    ),
)
_ALERT: Final = Record(
    m.Alert,
    (_CMD_ID, _NO_RESP, _CRED, Field("data", "Data", NUMBER, _ONCE), _CORRELATOR, _SOME_ITEMS),
    _UNUSED,
)
_EXEC: Final = Record(
    m.Exec,
    (_CMD_ID, _NO_RESP, _CRED, _META_FIELD, _CORRELATOR, Field("item", "Item", ITEM, _ONCE)),
    _UNUSED,
)
_RESULTS: Final = Record(
    m.Results,
    (
        _CMD_ID,
        Field("msg_ref", "MsgRef", NUMBER),
        Field("cmd_ref", "CmdRef", NUMBER, _ONCE),
        _META_FIELD,
        Field("target_ref", "TargetRef", TEXT),
        Field("source_ref", "SourceRef", TEXT),
        _ITEMS,
    ),
)
_ITEM_COMMAND: Final = (_CMD_ID, _NO_RESP, _CRED, _META_FIELD, _ITEMS)


_UNSUPPORTED_NAMES: Final = frozenset({"Map", "Put", "Search", "Sync"})
_COMMAND_NAMES: Final = _UNSUPPORTED_NAMES | {
    "Add", "Alert", "Atomic", "Copy", "Delete", "Exec", "Get", "Replace", "Results", "Sequence",
    "Status",
}  # fmt: skip


def _read_command(element: Element, reading: Reading) -> m.Command:
    reading.command()
    if element.name in _UNSUPPORTED_NAMES:
        return _read_unsupported(element, reading)
    command: m.Command = COMMANDS[element.name].read(element, reading)
    return command


def _read_unsupported(element: Element, reading: Reading) -> m.Unsupported:
    """Return the number of a command that is only answered; the rest of it is not looked at."""
    own = tuple(child for child in children(element) if child.name == "CmdID")
    bare = Element(element.page, element.name, own, element.offset)
    return m.Unsupported(element.name, _NUMBERED.read(bare, reading))


def _write_command(command: m.Command) -> Element:
    if isinstance(command, m.Unsupported):
        cmd_id = Element(Page.SYNCML, "CmdID", str(command.cmd_id))
        return Element(Page.SYNCML, command.name, (cmd_id,))
    name = _NAMES[type(command)]
    return Element(Page.SYNCML, name, COMMANDS[name].write(command))


_NUMBERED: Final = Record(lambda cmd_id: cmd_id, (Field("cmd_id", "CmdID", NUMBER, _ONCE),))
_COMMANDS: Final = Field(
    "commands", "a command", Kind(_read_command, _write_command), Occurs.ANY, choice=_COMMAND_NAMES
)
_COMMAND_GROUP: Final = (_CMD_ID, _NO_RESP, _META_FIELD, _COMMANDS)


def _group(make: type[m.Atomic | m.Sequence]) -> Record:
    """Return the record of a command that holds commands; the DTD lets it hold none."""
    return Record(
        lambda cmd_id, commands=(), **rest: make(cmd_id, commands, **rest), _COMMAND_GROUP
    )


COMMANDS: Final[Mapping[str, Record]] = MappingProxyType(
    {
        "Status": _STATUS,
        "Alert": _ALERT,
        "Exec": _EXEC,
        "Results": _RESULTS,
        "Add": Record(m.Add, _ITEM_COMMAND, _UNUSED),
        "Replace": Record(m.Replace, _ITEM_COMMAND, _UNUSED),
        "Copy": Record(m.Copy, _ITEM_COMMAND, _UNUSED),
        "Delete": Record(m.Delete, _ITEM_COMMAND, _UNUSED),
        "Get": Record(m.Get, _ITEM_COMMAND, _UNUSED),
        "Atomic": _group(m.Atomic),
        "Sequence": _group(m.Sequence),
    }
)
_NAMES: Final[Mapping[type[Any], str]] = MappingProxyType(
    {m.StatusReport: "Status"} | {getattr(m, name): name for name in COMMANDS if name != "Status"}
)

_HEADER: Final = Record(
    m.Header,
    (
        Field("ver_dtd", "VerDTD", TEXT, _ONCE),
        Field("ver_proto", "VerProto", TEXT, _ONCE),
        Field("session_id", "SessionID", TEXT, _ONCE),
        Field("msg_id", "MsgID", NUMBER, _ONCE),
        Field("target", "Target", LOCATION, _ONCE),
        Field("source", "Source", LOCATION, _ONCE),
        Field("resp_uri", "RespURI", TEXT),
        _NO_RESP,
        _CRED,
        _META_FIELD,
    ),
)


@dataclass(frozen=True, slots=True)
class _Body:
    commands: tuple[m.Command, ...] = ()
    final: bool = False


_BODY: Final = Record(_Body, (_COMMANDS, Field("final", "Final", FLAG, Occurs.FLAG)))


@dataclass(frozen=True, slots=True)
class _SyncMl:
    header: m.Header
    body: _Body


_SYNCML: Final = Record(
    _SyncMl,
    (
        Field("header", "SyncHdr", _HEADER.kind, _ONCE),
        Field("body", "SyncBody", _BODY.kind, _ONCE),
    ),
)


def read_message(element: Element, reading: Reading) -> m.Message:
    """Return the message of a SyncML element.

    Raises:
        Problem: it breaks the DTD.
    """
    parts: _SyncMl = _SYNCML.read(element, reading)
    return m.Message(parts.header, parts.body.commands, parts.body.final)


def write_message(message: m.Message) -> Element:
    """Return the SyncML element of a message."""
    parts = _SyncMl(message.header, _Body(message.commands, message.final))
    return Element(Page.SYNCML, "SyncML", _SYNCML.write(parts))
