"""A logical device: its objects, and each client's access to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.errors import ConfigError, LocalProtocolError, StoreError
from openami.dlms.cosem.association import CURRENT, AssociationLn
from openami.dlms.cosem.base import AccessError, ActionError, Context, CosemObject
from openami.dlms.data import RawData
from openami.dlms.results import ActionResult, DataAccessResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from openami.core.obis import Obis
    from openami.dlms.data import Data, Encodable
    from openami.dlms.references import AttributeRef, MethodRef, Selection

MANAGEMENT_DEVICE: Final = 1
"""SAP of the management logical device, the one that every meter has (Blue Book 4.1.8.4)."""


class LogicalDevice:
    """Objects behind one SAP.

    Args:
        objects: all its objects; association objects among them say who may come in.
        sap: the server's SAP.

    Raises:
        ConfigError: two objects have the same class and logical name, or two associations the
            same client.
    """

    def __init__(self, objects: Iterable[CosemObject], *, sap: int = MANAGEMENT_DEVICE) -> None:
        self.sap = sap
        self._objects: dict[tuple[int, Obis], CosemObject] = {}
        self._names: set[Obis] = set()
        self._associations: dict[int, AssociationLn] = {}
        for item in objects:
            self.add(item)

    def __iter__(self) -> Iterator[CosemObject]:
        return iter(self._objects.values())

    @property
    def associations(self) -> Mapping[int, AssociationLn]:
        """The associations by the client's SAP."""
        return self._associations

    def add(self, item: CosemObject) -> None:
        """Add an object.

        Raises:
            ConfigError: its place is taken.
        """
        key = item.CLASS_ID, item.obis
        if key in self._objects or item.obis == CURRENT:
            raise ConfigError(f"class {key[0]} {key[1]} is there already", code="config.objects")
        if isinstance(item, AssociationLn):
            if item.client in self._associations:
                raise ConfigError(f"client {item.client} is there twice", code="config.objects")
            self._associations[item.client] = item
            item.bind(lambda: self)
        self._objects[key] = item
        self._names.add(item.obis)

    def find(self, class_id: int, obis: Obis, context: Context) -> CosemObject:
        """Return the object of a class and logical name as the caller sees it.

        Raises:
            AccessError: there is none.
        """
        name = context.association if obis == CURRENT and context.association else obis
        found = self._objects.get((class_id, name))
        if found is not None:
            return found
        if name in self._names:
            raise AccessError(DataAccessResult.OBJECT_CLASS_INCONSISTENT)
        raise AccessError(DataAccessResult.OBJECT_UNDEFINED)

    def get(self, ref: AttributeRef, selection: Selection | None, context: Context) -> Encodable:
        """Return what the caller may read.

        Raises:
            AccessError: it may not, or there is nothing.
        """
        item = self.find(ref.class_id, ref.obis, context)
        if ref.attribute not in item.attributes():
            raise AccessError(DataAccessResult.OBJECT_UNDEFINED)
        mode = item.attribute_mode(ref.attribute, context.kind)
        if not mode.readable or (mode.authenticated and not context.authenticated):
            raise AccessError(DataAccessResult.READ_WRITE_DENIED)
        return item.read(ref.attribute, context, selection)

    def set(self, ref: AttributeRef, value: Data, context: Context) -> None:
        """Write what the caller may write.

        Raises:
            AccessError: it may not, or the value is not taken.
        """
        item = self.find(ref.class_id, ref.obis, context)
        if ref.attribute not in item.attributes():
            raise AccessError(DataAccessResult.OBJECT_UNDEFINED)
        mode = item.attribute_mode(ref.attribute, context.kind)
        if not mode.writable or (mode.authenticated and not context.authenticated):
            raise AccessError(DataAccessResult.READ_WRITE_DENIED)
        item.write(ref.attribute, value, context)

    def invoke(self, ref: MethodRef, parameter: Data | None, context: Context) -> Encodable | None:
        """Do what the caller may do, and return what it answers.

        Raises:
            ActionError: it may not, or it was not done.
        """
        try:
            item = self.find(ref.class_id, ref.obis, context)
        except AccessError as error:
            raise ActionError(ActionResult(error.result)) from error
        if ref.method not in item.methods():
            raise ActionError(ActionResult.OBJECT_UNDEFINED)
        mode = item.method_mode(ref.method, context.kind)
        if not mode or (mode.authenticated and not context.authenticated):
            raise ActionError(ActionResult.READ_WRITE_DENIED)
        return item.invoke(ref.method, parameter, context)


def read_encoded(
    device: LogicalDevice, ref: AttributeRef, selection: Selection | None, context: Context
) -> bytes | DataAccessResult:
    """Return an attribute's octets, or why there are none; a fault of ours is a hardware fault."""
    try:
        return device.get(ref, selection, context).encode()
    except AccessError as error:
        return error.result
    except StoreError:
        return DataAccessResult.TEMPORARY_FAILURE
    except LocalProtocolError:  # a value that its type does not hold
        return DataAccessResult.HARDWARE_FAULT


def write_value(
    device: LogicalDevice, ref: AttributeRef, value: Data, context: Context
) -> DataAccessResult:
    """Write an attribute and return what became of it."""
    try:
        device.set(ref, value, context)
    except AccessError as error:
        return error.result
    except StoreError:
        return DataAccessResult.TEMPORARY_FAILURE
    return DataAccessResult.SUCCESS


def invoke_method(
    device: LogicalDevice, ref: MethodRef, parameter: Data | None, context: Context
) -> tuple[ActionResult, Encodable | None]:
    """Do a method and return what became of it and what it answered."""
    try:
        answer = device.invoke(ref, parameter, context)
        return ActionResult.SUCCESS, None if answer is None else RawData(answer.encode())
    except ActionError as error:
        return error.result, None
    except StoreError:
        return ActionResult.TEMPORARY_FAILURE, None
    except LocalProtocolError:  # an answer that its type does not hold
        return ActionResult.HARDWARE_FAULT, None
