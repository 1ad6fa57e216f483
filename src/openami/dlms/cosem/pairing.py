"""Pairing of displays: class 8192, the maker's own.

A display has no keys yet, so it comes as the public client. It shows that it knows the code of
the meter's label, and is given a place: the SAP of a home client, and keys that no other has. The
messages are those of ``openami.dlms.home.messages``.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, Protocol

from openami.core.errors import DecodeError, SecurityError
from openami.core.obis import Obis
from openami.crypto.pairing import Pairing
from openami.dlms.cosem.access import AccessTable, AttributeMode, ClientKind, MethodMode, Rights
from openami.dlms.cosem.base import ActionError, Attribute, Context, CosemObject, Method
from openami.dlms.data import (
    Data,
    DataType,
    Encodable,
    array,
    octets,
    structure,
    u8,
    u16,
    u32,
    utf8,
)
from openami.dlms.home.messages import Begin, Confirm, Confirmed
from openami.dlms.results import ActionResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openami.core.identifiers import SystemTitle
    from openami.crypto.pairing import Agreed
    from openami.dlms.home.messages import Place

PAIRING_OBIS: Final = Obis.parse("0.0.96.50.0.255")

ATTEMPTS: Final = 4
"""Displays that are being paired at a time: the oldest attempt makes room."""

ATTEMPT_S: Final = 60.0
"""Seconds from the first message to the proof: machines talk, nobody types in between."""

BEGUN: Final = 20
BEGUN_S: Final = 60.0
"""Attempts begun in so many seconds: each costs a small machine some hundredths of a second."""

_ALL: Final = 0

ACCESS: Final[AccessTable] = {
    ClientKind.PUBLIC: Rights(
        attribute=dict.fromkeys((1, 2, 3, 4, 5), AttributeMode.READ),
        method=dict.fromkeys((1, 2), MethodMode.ACCESS),
    ),
    ClientKind.MANAGEMENT: Rights(AttributeMode.READ, method={3: MethodMode.AUTHENTICATED}),
}


class Display(NamedTuple):
    """A display that is paired: its SAP, its title, its name, and since when (UTC seconds)."""

    client: int
    title: SystemTitle
    name: str
    since: int

    def data(self) -> Data:
        """Return an element of attribute 6."""
        return structure(u16(self.client), octets(self.title.raw), utf8(self.name), u32(self.since))


class PairingDesk(Protocol):
    """The meter, as pairing sees it. What it keeps is durable when it returns."""

    @property
    def title(self) -> SystemTitle:
        """The meter's system title."""
        ...

    @property
    def code(self) -> bytes | None:
        """The code of the label; None: the meter has none, and pairs with nobody."""
        ...

    @property
    def places(self) -> int:
        """How many displays there may be."""
        ...

    @property
    def displays(self) -> Sequence[Display]:
        """Those that are paired."""
        ...

    def wait(self) -> int:
        """Return the seconds for which no code is looked at."""
        ...

    def failed(self) -> None:
        """Take note of a wrong code.

        Raises:
            StoreError: it could not be kept.
        """

    def take(self, title: SystemTitle, name: str) -> Place | None:
        """Give a display a place, the one that it had or a free one; None: there is none.

        Raises:
            StoreError: it could not be kept, and nothing was given.
        """
        ...

    def forget(self, client: int | None) -> bool:
        """Forget the display with a SAP, or all; False if there is none.

        Raises:
            StoreError: it could not be kept.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Attempt:
    name: str
    agreed: Agreed = field(repr=False)
    until: float


class HomePairing(CosemObject):
    """Class 8192: who is paired, and the two steps to it.

    Args:
        desk: the meter.
        random_octets: returns octets from a cryptographic source.
        obis: the logical name.
        access: what each kind of client may do with it.
    """

    CLASS_ID = 8192

    def __init__(
        self,
        desk: PairingDesk,
        random_octets: Callable[[int], bytes],
        *,
        obis: Obis | str = PAIRING_OBIS,
        access: AccessTable = ACCESS,
    ) -> None:
        super().__init__(obis, access=access)
        self.desk = desk
        self._random = random_octets
        self._attempts: dict[SystemTitle, _Attempt] = {}
        self._begun: deque[float] = deque(maxlen=BEGUN)

    def begin(self, parameter: Data | None, context: Context) -> Encodable:
        """Method 1: the display's title, name and message; answers the meter's message.

        Nothing that it answers depends on whether the display knows the code.
        """
        code = self._open()
        asked = Begin.of(Data(DataType.NULL) if parameter is None else parameter)
        full = len(self._begun) == BEGUN and context.now < self._begun[0] + BEGUN_S
        if full:
            raise ActionError(ActionResult.TEMPORARY_FAILURE, "too many attempts")
        if not self._has_room(asked.title):
            raise ActionError(ActionResult.OBJECT_UNAVAILABLE, "no place is free")
        self._begun.append(context.now)
        own = Pairing(code, asked.title.raw, self.desk.title.raw, begins=False, octets=self._random)
        try:
            agreed = own.agree(asked.message, asked.context)
        except SecurityError as error:
            raise DecodeError(error.message) from error
        self._attempts.pop(asked.title, None)
        while len(self._attempts) >= ATTEMPTS:
            del self._attempts[next(iter(self._attempts))]
        self._attempts[asked.title] = _Attempt(asked.name, agreed, context.now + ATTEMPT_S)
        return octets(own.message)

    def confirm(self, parameter: Data | None, context: Context) -> Encodable:
        """Method 2: the display's proof; answers the meter's, and the place under seal."""
        self._open()
        asked = Confirm.of(Data(DataType.NULL) if parameter is None else parameter)
        attempt = self._attempts.pop(asked.title, None)  # one proof for each attempt
        if attempt is None or context.now >= attempt.until:
            raise ActionError(ActionResult.OTHER_REASON, "no such attempt")
        try:
            attempt.agreed.check_first(asked.proof)
        except SecurityError as error:
            self.desk.failed()
            raise ActionError(ActionResult.READ_WRITE_DENIED, error.message) from error
        place = self.desk.take(asked.title, attempt.name)
        if place is None:
            raise ActionError(ActionResult.OBJECT_UNAVAILABLE, "no place is free")
        agreed = attempt.agreed
        return Confirmed(agreed.second, agreed.seal(place.encode())).data()

    def _open(self) -> bytes:
        """Return the code, if codes are looked at now."""
        code = self.desk.code
        if code is None:
            raise ActionError(ActionResult.OTHER_REASON, "this meter has no code")
        if self.desk.wait():
            raise ActionError(ActionResult.TEMPORARY_FAILURE, "no code is looked at for a while")
        return code

    def _has_room(self, title: SystemTitle) -> bool:
        displays = self.desk.displays
        return len(displays) < self.desk.places or any(each.title == title for each in displays)

    def forget(self, parameter: Data | None, _: Context) -> None:
        """Method 3: forget the display with a SAP, or with 0 all, as when somebody moves out."""
        client = 0 if parameter is None else parameter.integer()
        self._attempts.clear()
        if not self.desk.forget(None if client == _ALL else client) and client != _ALL:
            raise ActionError(ActionResult.OBJECT_UNAVAILABLE, "no such display")

    def get_displays(self, _: Context) -> Encodable:
        """Attribute 6: who is paired."""
        return array(
            *(
                structure(
                    u16(each.client), octets(each.title.raw), utf8(each.name), u32(each.since)
                )
                for each in self.desk.displays
            )
        )

    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {
        2: Attribute("system_title", lambda o, _: octets(o.desk.title.raw)),
        3: Attribute("places", lambda o, _: u8(o.desk.places)),
        4: Attribute("places_taken", lambda o, _: u8(len(o.desk.displays))),
        5: Attribute("wait", lambda o, _: u32(o.desk.wait())),
        6: Attribute("displays", get_displays),
    }
    METHODS: ClassVar[Mapping[int, Method]] = {
        1: Method("begin", begin, (DataType.STRUCTURE,)),
        2: Method("confirm", confirm, (DataType.STRUCTURE,)),
        3: Method("forget", forget, (DataType.UINT16,)),
    }
