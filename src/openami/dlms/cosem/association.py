"""Association LN (Blue Book 4.4.4): one per client, and what it may see."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from openami.core.errors import ConfigError
from openami.core.obis import Obis
from openami.dlms.apdu.acse import ApplicationContext, Mechanism
from openami.dlms.apdu.initiate import VERSION
from openami.dlms.conformance import Conformance
from openami.dlms.cosem.access import (
    AccessTable,
    AttributeMode,
    ClientKind,
    MethodMode,
    Rights,
)
from openami.dlms.cosem.base import (
    AccessError,
    ActionError,
    Attribute,
    Context,
    CosemObject,
    Method,
    Negotiated,
)
from openami.dlms.data import (
    BitString,
    Data,
    DataType,
    Encodable,
    RawData,
    array,
    i8,
    octets,
    structure,
    u8,
    u16,
)
from openami.dlms.results import ActionResult, DataAccessResult
from openami.wire.writer import encode_length

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from openami.dlms.cosem.security import SecuritySetup

CURRENT: Final = Obis.parse("0.0.40.0.0.255")
"""Every client's own association, whatever its own logical name (Blue Book 4.4.4)."""

NO_SECURITY_SETUP: Final = Obis(bytes(6))
# {joint-iso-ccitt country(16) country-name(756) identified-organization(5) DLMS-UA(8)}
_CONTEXT_ARC: Final = bytes.fromhex("6085740508 01")
_MECHANISM_ARC: Final = bytes.fromhex("6085740508 02")
# ISO/IEC 8650-1 sets no length; Green Book 9.2.2.2.2 passwords are short, 64 is the longest
# challenge of HLS.
MAX_SECRET: Final = 64

READING: Final = (
    Conformance.GET
    | Conformance.BLOCK_TRANSFER_WITH_GET
    | Conformance.SELECTIVE_ACCESS
    | Conformance.MULTIPLE_REFERENCES
    | Conformance.PRIORITY_MANAGEMENT
)
"""What a client that only reads needs."""

EVERYTHING: Final = (
    READING
    | Conformance.SET
    | Conformance.ACTION
    | Conformance.BLOCK_TRANSFER_WITH_SET
    | Conformance.BLOCK_TRANSFER_WITH_ACTION
    | Conformance.GENERAL_PROTECTION
)
"""All that the server does."""

_OWN: Final = Rights(AttributeMode.READ)
_OWN_HLS: Final = Rights(AttributeMode.READ, method={1: MethodMode.ACCESS})
_MANAGED: Final = Rights(
    AttributeMode.READ,
    method={1: MethodMode.ACCESS, 2: MethodMode.AUTHENTICATED},
    attribute={7: AttributeMode.WRITE},
)


def _usual_access(kind: ClientKind, mechanism: Mechanism) -> AccessTable:
    """Return who sees an association object: its own client, and the management client."""
    own = _OWN_HLS if mechanism is Mechanism.HLS_GMAC else _OWN
    return {kind: own, ClientKind.MANAGEMENT: _MANAGED}


def _usual(kind: ClientKind, mechanism: Mechanism) -> Conformance:
    """Return what the server does for a client if it is not told otherwise."""
    if kind is ClientKind.MANAGEMENT:
        return EVERYTHING
    return READING | Conformance.ACTION if mechanism is Mechanism.HLS_GMAC else READING


class AssociationLn(CosemObject):
    """Class 15, version 1: what a client must show to associate, and what it then may do.

    Args:
        obis: the logical name, ``0.0.40.0.e.255`` with e from 1.
        client: the client's SAP.
        kind: what the client may do.
        mechanism: how it authenticates itself.
        secret: the password of LLS; HLS-5 has none, its keys are those of ``security``.
        contexts: application contexts that it may open.
        security: keys and policy of ciphered contexts.
        conformance: what the server does for it.
        max_pdu: octets of the longest APDU that the server takes, 0 for no limit.
        server: SAP of the logical device.
        on_secret: called with a new secret, before the client is answered: keep it.
        access: what each kind of client may do with this object itself; by default its own kind
            reads it, and the management client manages it.
        preestablished: it stands for ever: nobody associates, and what is ciphered with the
            broadcast key of ``security`` and sent to all stations is done.
        overlaps: whether an association that is open keeps the keys it was opened with until its
            client uses new ones; if not, it ends as soon as they are replaced.

    Raises:
        ConfigError: the parts do not fit together.
    """

    CLASS_ID = 15
    VERSION = 1

    def __init__(
        self,
        obis: Obis | str,
        *,
        client: int,
        kind: ClientKind,
        mechanism: Mechanism = Mechanism.NONE,
        secret: bytes = b"",
        contexts: Iterable[ApplicationContext] = (ApplicationContext.LN,),
        security: SecuritySetup | None = None,
        conformance: Conformance | None = None,
        max_pdu: int = 1024,
        server: int = 1,
        on_secret: Callable[[bytes], None] | None = None,
        access: AccessTable | None = None,
        preestablished: bool = False,
        overlaps: bool = True,
    ) -> None:
        usual = _usual_access(kind, mechanism)
        super().__init__(obis, access=usual if access is None else access)
        self.client = client
        self.kind = kind
        self.mechanism = mechanism
        self.secret = secret
        self.contexts = frozenset(contexts)
        self.security = security
        self.conformance = _usual(kind, mechanism) if conformance is None else conformance
        self.max_pdu = max_pdu
        self.server = server
        self.preestablished = preestablished
        self.overlaps = overlaps
        self._on_secret = on_secret or (lambda _: None)
        self._objects: Callable[[], Iterable[CosemObject]] = lambda: (self,)
        self._check()

    def _check(self) -> None:
        ciphered = ApplicationContext.LN_CIPHERED in self.contexts
        if self.mechanism not in (Mechanism.NONE, Mechanism.LLS, Mechanism.HLS_GMAC):
            raise ConfigError("mechanisms are none, LLS and HLS-5 GMAC", code="config.mechanism")
        if self.mechanism is Mechanism.LLS and not 0 < len(self.secret) <= MAX_SECRET:
            raise ConfigError("LLS wants a password of 1 to 64 octets", code="config.secret")
        if self.security is None and (ciphered or self.mechanism is Mechanism.HLS_GMAC):
            raise ConfigError("ciphering and GMAC want a security setup", code="config.security")
        if self.preestablished and (self.security is None or not self.security.demands):
            raise ConfigError("what stands for ever wants security", code="config.security")

    def bind(self, objects: Callable[[], Iterable[CosemObject]]) -> None:
        """Say where the objects of the logical device are (``LogicalDevice`` does)."""
        self._objects = objects

    # -- attributes ------------------------------------------------------------------------

    def object_list(self, context: Context) -> Encodable:
        """Attribute 2: the objects that the asking client may do anything with, and what."""
        entries = [
            encode_entry(
                item, context.kind, CURRENT if item.obis == context.association else item.obis
            )
            for item in self._objects()
            if item.visible(context.kind)
        ]
        return RawData(b"".join((b"\x01", encode_length(len(entries)), *entries)))

    def partners(self, _: Context) -> Encodable:
        return structure(i8(self.client), u16(self.server))

    def context_name(self, context: Context) -> Encodable:
        found = self._negotiated(context)
        number = found.context if found else min(self.contexts)
        return octets(_CONTEXT_ARC + bytes((number,)))

    def xdlms_context(self, context: Context) -> Encodable:
        found = self._negotiated(context) or Negotiated(
            0, 0, self.conformance, self.max_pdu, 0, established=False
        )
        return structure(
            Data(DataType.BIT_STRING, BitString(found.conformance.octets, 24)),
            u16(found.max_receive),
            u16(found.max_send),
            u8(VERSION),
            i8(0),
            octets(b""),
        )

    def mechanism_name(self, _: Context) -> Encodable:
        return octets(_MECHANISM_ARC + bytes((self.mechanism,)))

    def set_secret(self, value: Data, _: Context) -> None:
        """Attribute 7: a new LLS password."""
        if self.mechanism is not Mechanism.LLS:
            raise AccessError(DataAccessResult.READ_WRITE_DENIED, "this client has no password")
        if not 0 < len(value.octets()) <= MAX_SECRET:
            raise AccessError(DataAccessResult.OTHER_REASON, "a password of 1 to 64 octets")
        self._on_secret(value.octets())
        self.secret = value.octets()

    def status(self, context: Context) -> Encodable:
        found = self._negotiated(context)
        number = 0 if found is None else 2 if found.established else 1
        return Data(DataType.ENUM, number)

    def security_reference(self, _: Context) -> Encodable:
        return octets((self.security.obis if self.security else NO_SECURITY_SETUP).raw)

    def _negotiated(self, context: Context) -> Negotiated | None:
        return context.negotiated if context.association == self.obis else None

    # -- methods ---------------------------------------------------------------------------

    def reply_to_hls(self, parameter: Data | None, context: Context) -> Encodable:
        """Method 1: pass 3 of HLS; answers pass 4 (Green Book 9.2.7.4)."""
        if context.hls is None or parameter is None:
            raise ActionError(ActionResult.READ_WRITE_DENIED, "no HLS authentication under way")
        answer = context.hls(parameter.octets())
        if answer is None:
            raise ActionError(ActionResult.READ_WRITE_DENIED, "authentication failed")
        return octets(answer)

    def change_hls_secret(self, parameter: Data | None, context: Context) -> None:
        """Method 2: a new secret, only in an APDU that is enciphered.

        HLS-5 has no secret of its own: its keys change by the security setup's key transfer.
        """
        if not context.encrypted or self.mechanism is Mechanism.HLS_GMAC or parameter is None:
            raise ActionError(ActionResult.READ_WRITE_DENIED)
        try:
            self.set_secret(parameter, context)
        except AccessError as error:
            raise ActionError(ActionResult(error.result)) from error

    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {
        2: Attribute("object_list", object_list),
        3: Attribute("associated_partners_id", partners),
        4: Attribute("application_context_name", context_name),
        5: Attribute("xDLMS_context_info", xdlms_context),
        6: Attribute("authentication_mechanism_name", mechanism_name),
        7: Attribute("secret", None, set_secret, (DataType.OCTETS,)),
        8: Attribute("association_status", status),
        9: Attribute("security_setup_reference", security_reference),
    }
    METHODS: ClassVar[Mapping[int, Method]] = {
        1: Method("reply_to_HLS_authentication", reply_to_hls, (DataType.OCTETS,)),
        2: Method("change_HLS_secret", change_hls_secret, (DataType.OCTETS,)),
    }


def encode_entry(item: CosemObject, kind: ClientKind, name: Obis) -> bytes:
    """Return an object_list_element: class, version, logical name, access rights of ``kind``."""
    attributes = (
        structure(
            i8(index),
            Data(DataType.ENUM, item.attribute_mode(index, kind)),
            selectors(item, index),
        )
        for index in item.attributes()
    )
    methods = (
        structure(i8(index), Data(DataType.ENUM, item.method_mode(index, kind)))
        for index in item.methods()
    )
    rights = structure(array(*attributes), array(*methods))
    return structure(u16(item.CLASS_ID), u8(item.version), octets(name.raw), rights).encode()


def selectors(item: CosemObject, index: int) -> Data:
    """Return access_selectors: those of an attribute with selective access, else null-data."""
    if item.attributes()[index].select is None:
        return Data(DataType.NULL)
    return array(i8(1), i8(2))
