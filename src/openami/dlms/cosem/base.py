"""What every COSEM object is: tables of attributes and methods, and the rights to them.

A class declares what it has::

    class Register(CosemObject):
        CLASS_ID = 3
        VERSION = 0
        ATTRIBUTES = {2: Attribute("value", Register._value), …}
        METHODS = {1: Method("reset", Register._reset)}

and the server reads, writes and invokes by index. Objects do no input or output: what they need
from the meter (values, clocks, stores) are callables and ports given to their constructors, and
what they need to know of the caller stands in the ``Context``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

from openami.core.errors import DecodeError, OpenAmiError
from openami.core.obis import Obis
from openami.dlms.cosem.access import (
    FOR_READERS,
    NOTHING,
    AccessTable,
    AttributeMode,
    ClientKind,
    MethodMode,
)
from openami.dlms.data import Data, DataType, Encodable, octets
from openami.dlms.results import ActionResult, DataAccessResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.dlms.conformance import Conformance
    from openami.dlms.references import Selection


class AccessError(OpenAmiError):
    """An attribute was not given or not taken; ``result`` is what the client is told."""

    code = "dlms.access"

    def __init__(self, result: DataAccessResult, message: str = "") -> None:
        super().__init__(message or result.name.lower().replace("_", " "))
        self.result = result


class ActionError(OpenAmiError):
    """A method was not done; ``result`` is what the client is told."""

    code = "dlms.action"

    def __init__(self, result: ActionResult, message: str = "") -> None:
        super().__init__(message or result.name.lower().replace("_", " "))
        self.result = result


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What an association agreed on, as class 15 shows it."""

    context: int
    mechanism: int
    conformance: Conformance
    max_receive: int
    max_send: int
    established: bool = True


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks, and when.

    Args:
        client: the client's SAP.
        kind: what its association makes of it.
        now: seconds on the server's monotonic clock.
        authenticated: the APDU carried an authentication tag that was right.
        encrypted: the APDU was enciphered.
        association: the logical name of the client's own association object.
        negotiated: what that association agreed on.
        hls: pass 3 of an HLS authentication under way: takes f(StoC) and returns f(CtoS), or
            None if it was wrong.
    """

    client: int = 0
    kind: ClientKind = ClientKind.MANAGEMENT
    now: float = 0.0
    authenticated: bool = False
    encrypted: bool = False
    association: Obis | None = None
    negotiated: Negotiated | None = None
    hls: Callable[[bytes], bytes | None] | None = field(default=None, repr=False)


LOCAL: Final = Context()
"""The meter itself: for writing back what was kept in its memory."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a class.

    Args:
        name: as the Blue Book names it.
        get: returns its value; None if it is never given away.
        set: takes a new value of one of ``types``; None if it is never written.
        types: the types that ``set`` takes; none for any.
        select: returns the part that a selective access names.
    """

    name: str
    get: Callable[[Any, Context], Encodable] | None = None
    set: Callable[[Any, Data, Context], None] | None = None
    types: tuple[DataType, ...] = ()
    select: Callable[[Any, Selection, Context], Encodable] | None = None


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a class: ``call`` takes the parameter, and returns what it answers."""

    name: str
    call: Callable[[Any, Data | None, Context], Encodable | None]
    types: tuple[DataType, ...] = ()


LOGICAL_NAME: Final = Attribute("logical_name", lambda o, _: octets(o.obis.raw))


class CosemObject:
    """The base of all COSEM objects.

    Args:
        obis: the logical name.
        access: what each kind of client may do with it.

    Attributes:
        read_only: attributes of this one object that are not written, though the class could.
    """

    CLASS_ID: ClassVar[int] = 0
    VERSION: ClassVar[int] = 0
    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {}
    METHODS: ClassVar[Mapping[int, Method]] = {}
    _ALL: ClassVar[Mapping[int, Attribute]] = {}

    def __init_subclass__(cls) -> None:
        cls._ALL = {1: LOGICAL_NAME, **cls.ATTRIBUTES}

    def __init__(self, obis: Obis | str, *, access: AccessTable = FOR_READERS) -> None:
        self.obis = obis if isinstance(obis, Obis) else Obis.parse(obis)
        self.access = access
        self.read_only: frozenset[int] = frozenset()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.obis)!r})"

    @property
    def version(self) -> int:
        """The class's version that this object follows."""
        return self.VERSION

    def attributes(self) -> Mapping[int, Attribute]:
        """Return all attributes, the logical name with them, by index."""
        return self._ALL

    def methods(self) -> Mapping[int, Method]:
        """Return all methods by index."""
        return self.METHODS

    def attribute_mode(self, index: int, kind: ClientKind) -> AttributeMode:
        """Return what clients of ``kind`` may do with an attribute; nothing if it is not there."""
        attribute = self.attributes().get(index)
        if attribute is None:
            return AttributeMode.NO_ACCESS
        granted = self.access.get(kind, NOTHING).of_attribute(index)
        writable = attribute.set is not None and index not in self.read_only
        return granted.within(read=attribute.get is not None, write=writable)

    def method_mode(self, index: int, kind: ClientKind) -> MethodMode:
        """Return whether clients of ``kind`` may invoke a method."""
        if index not in self.methods():
            return MethodMode.NO_ACCESS
        return self.access.get(kind, NOTHING).of_method(index)

    def visible(self, kind: ClientKind) -> bool:
        """Say whether clients of ``kind`` may do anything at all with this object."""
        return any(self.attribute_mode(i, kind) for i in self.attributes()) or any(
            self.method_mode(i, kind) for i in self.methods()
        )

    def read(
        self, index: int, context: Context = LOCAL, selection: Selection | None = None
    ) -> Encodable:
        """Return an attribute's value; rights are the caller's to check.

        Raises:
            AccessError: there is no such attribute, or not with this selection.
        """
        attribute = self.attributes().get(index)
        if attribute is None:
            raise AccessError(DataAccessResult.OBJECT_UNDEFINED)
        if selection is not None:
            if attribute.select is None:
                raise AccessError(DataAccessResult.SCOPE_OF_ACCESS_VIOLATED)
            try:
                return attribute.select(self, selection, context)
            except DecodeError as error:
                raise AccessError(DataAccessResult.TYPE_UNMATCHED, error.message) from error
        if attribute.get is None:
            raise AccessError(DataAccessResult.READ_WRITE_DENIED)
        return attribute.get(self, context)

    def write(self, index: int, value: Data, context: Context = LOCAL) -> None:
        """Set an attribute; rights are the caller's to check.

        Raises:
            AccessError: it does not take this value.
        """
        attribute = self.attributes().get(index)
        if attribute is None:
            raise AccessError(DataAccessResult.OBJECT_UNDEFINED)
        if attribute.set is None or index in self.read_only:
            raise AccessError(DataAccessResult.READ_WRITE_DENIED)
        if attribute.types and value.type not in attribute.types:
            raise AccessError(DataAccessResult.TYPE_UNMATCHED)
        try:
            attribute.set(self, value, context)
        except DecodeError as error:
            raise AccessError(DataAccessResult.TYPE_UNMATCHED, error.message) from error

    def invoke(
        self, index: int, parameter: Data | None = None, context: Context = LOCAL
    ) -> Encodable | None:
        """Do a method and return what it answers; rights are the caller's to check.

        Raises:
            ActionError: it was not done.
        """
        method = self.methods().get(index)
        if method is None:
            raise ActionError(ActionResult.OBJECT_UNDEFINED)
        if method.types and (parameter is None or parameter.type not in method.types):
            raise ActionError(ActionResult.TYPE_UNMATCHED)
        try:
            return method.call(self, parameter, context)
        except DecodeError as error:
            raise ActionError(ActionResult.TYPE_UNMATCHED, error.message) from error
