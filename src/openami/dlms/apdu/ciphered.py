"""Ciphered APDUs as they are on the wire: who, which key, counter, and opaque octets.

The service-specific forms (glo-, ded-) keep the tag of what they cipher by a fixed mapping; the
general forms carry the sender's system title and hide the tag (Green Book 9.2.7.2 and 9.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Self

from openami.core.errors import DecodeError
from openami.dlms.apdu.common import Tag
from openami.wire.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.wire.reader import Reader

_SERVICES: Final = (
    Tag.GET_REQUEST,
    Tag.SET_REQUEST,
    Tag.EVENT_NOTIFICATION,
    Tag.ACTION_REQUEST,
    Tag.GET_RESPONSE,
    Tag.SET_RESPONSE,
    Tag.ACTION_RESPONSE,
)
_INITIATES: Final = (Tag.INITIATE_REQUEST, Tag.INITIATE_RESPONSE, Tag.CONFIRMED_SERVICE_ERROR)

GLOBAL_TAGS: Final[Mapping[int, int]] = {
    **{tag: tag + 0x20 for tag in _INITIATES},
    **{tag: tag + 0x08 for tag in _SERVICES},
}
DEDICATED_TAGS: Final[Mapping[int, int]] = {
    **{tag: tag + 0x40 for tag in _INITIATES},
    **{tag: tag + 0x10 for tag in _SERVICES},
}


class Form(Enum):
    """The four ways to put a ciphered APDU on the wire."""

    GLOBAL = "glo"
    DEDICATED = "ded"
    GENERAL_GLOBAL = "general-glo"
    GENERAL_DEDICATED = "general-ded"

    @property
    def dedicated(self) -> bool:
        return self in (Form.DEDICATED, Form.GENERAL_DEDICATED)

    @property
    def general(self) -> bool:
        return self in (Form.GENERAL_GLOBAL, Form.GENERAL_DEDICATED)


_GENERAL_TAGS: Final[Mapping[Form, int]] = {
    Form.GENERAL_GLOBAL: Tag.GENERAL_GLO_CIPHERING,
    Form.GENERAL_DEDICATED: Tag.GENERAL_DED_CIPHERING,
}
_SPECIFIC_TAGS: Final[Mapping[Form, Mapping[int, int]]] = {
    Form.GLOBAL: GLOBAL_TAGS,
    Form.DEDICATED: DEDICATED_TAGS,
}
_FORMS: Final[Mapping[int, tuple[Form, int | None]]] = {
    **{ciphered: (Form.GLOBAL, plain) for plain, ciphered in GLOBAL_TAGS.items()},
    **{ciphered: (Form.DEDICATED, plain) for plain, ciphered in DEDICATED_TAGS.items()},
    **{ciphered: (form, None) for form, ciphered in _GENERAL_TAGS.items()},
}
CIPHERED_TAGS: Final = frozenset(_FORMS)


def ciphered_tag(form: Form, plain_tag: int) -> int | None:
    """Return the tag that an APDU with ``plain_tag`` has when ciphered; None: it has no such form.

    The general forms take any APDU.
    """
    if form.general:
        return _GENERAL_TAGS[form]
    return _SPECIFIC_TAGS[form].get(plain_tag)


@dataclass(frozen=True, slots=True)
class CipheredApdu:
    """A ciphered APDU, not yet deciphered.

    ``payload`` is what follows the invocation counter: information, ciphertext, authentication
    tag, as ``security_control`` says. ``title`` is there in the general forms only, and may be
    empty there.
    """

    tag: int
    security_control: int
    invocation_counter: int
    payload: bytes
    title: bytes | None = None

    @property
    def form(self) -> Form:
        return _FORMS[self.tag][0]

    @property
    def plain_tag(self) -> int | None:
        """The tag that the deciphered APDU must have; None: any."""
        return _FORMS[self.tag][1]

    def encode(self) -> bytes:
        w = Writer().u8(self.tag)
        if self.form.general:
            w.octets(self.title or b"")
        w.length(len(self.payload) + 5).u8(self.security_control).u32(self.invocation_counter)
        return w.raw(self.payload).bytes()

    @classmethod
    def read(cls, r: Reader, tag: int) -> Self:
        """Read what follows ``tag``; raises ``DecodeError`` if it is something else."""
        title = r.take(r.length()) if _FORMS[tag][0].general else None
        if title is not None and len(title) not in (0, 8):
            raise DecodeError("a system title of 8 octets wanted", offset=r.offset - len(title))
        content = r.sub(r.length())
        return cls(tag, content.u8(), content.u32(), content.rest(), title)
