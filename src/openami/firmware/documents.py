"""JSON documents that a vendor or a repository sends: bounded, without surprises, canonical.

A document is refused if a name stands twice in an object (two readers would see two documents), if
it has a field that its schema does not know, a number that is not whole, or a character that a
person who approves it would not see.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final, TypeVar

from openami.core.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

MOST_WHOLE: Final = 2**53 - 1
"""Beyond, readers that keep numbers as doubles see another number (RFC 8259 6)."""

TOKEN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Names of products, models and files: also parts of paths and lines of logs, so no ``/``, no
space, no leading ``.``; 64 characters hold every catalogue number that we have seen."""

SHA256: Final = re.compile(r"[0-9a-f]{64}")

# Controls, formats (they turn the direction of text, or are not seen), surrogates, private use,
# unassigned, line and paragraph separators.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def parse(data: bytes, *, most: int, code: str) -> Fields:
    """Return the object that ``data`` is.

    Args:
        data: UTF-8 JSON.
        most: octets that are looked at; more are refused unread.
        code: the code of the error.

    Raises:
        DecodeError: ``data`` is longer than ``most`` or not a JSON object as described above.
    """
    if len(data) > most:
        raise DecodeError(f"a document of {len(data)} octets; {most} are taken", code=code)
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_object,
            parse_float=_refuse_number,
            parse_constant=_refuse_number,
        )
    except RecursionError:
        raise DecodeError("objects within objects, too deep", code=code) from None
    except ValueError as error:
        raise DecodeError(f"not JSON: {str(error)[:200]!a}", code=code) from None
    return Fields(value, code=code)


def canonical(value: Mapping[str, object]) -> bytes:
    """Return the one form of a document: names sorted, no spaces, UTF-8 as it is."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _refuse_number(text: str) -> None:
    raise ValueError(f"{text[:20]} is not a whole number")


def check_text(text: str, *, most: int, lines: bool = False) -> str:
    """Return ``text`` if it has 1 to ``most`` characters, all of them seen.

    Args:
        text: what is checked.
        most: characters.
        lines: it may have more than one line.

    Raises:
        ValueError: it has not; the message says what it has, and not the text.
    """
    if not 1 <= len(text) <= most:
        raise ValueError(f"{len(text)} characters; 1 to {most} are taken")
    for character in text:
        if unicodedata.category(character) in _UNSEEN and not (lines and character == "\n"):
            raise ValueError(f"the character U+{ord(character):04X} is not seen")
    return text


def check_token(text: str) -> str:
    """Return ``text`` if it is a token.

    Raises:
        ValueError: it is not.
    """
    if not TOKEN.fullmatch(text):
        raise ValueError("1 to 64 letters, digits, '.', '_' and '-', the first a letter or digit")
    return text


def check_sha256(text: str) -> str:
    """Return ``text`` if it is a SHA-256 in 64 small hexadecimal digits.

    Raises:
        ValueError: it is not.
    """
    if not SHA256.fullmatch(text):
        raise ValueError("64 small hexadecimal digits")
    return text


class Fields:
    """The fields of one JSON object, each taken once, by its name and what it must be.

    Every method raises ``DecodeError``, with the path of the field in its message.
    """

    __slots__ = ("_code", "_left", "_path")

    def __init__(self, value: object, *, code: str, path: str = "") -> None:
        self._code = code
        self._path = path
        if not isinstance(value, dict):
            raise self.error("", "an object")
        self._left = dict(value)

    def error(self, name: str, wanted: str) -> DecodeError:
        """Return (not raise) the error of a field that is not as wanted."""
        where = ".".join(part for part in (self._path, name) if part) or "the document"
        return DecodeError(f"{where}: not as wanted: {wanted}", code=self._code)

    def has(self, name: str) -> bool:
        return name in self._left

    def text(self, name: str, check: Callable[[str], T]) -> T:
        """Return what ``check`` makes of a string; its ValueError becomes ours."""
        value = self._left.pop(name, None)
        if not isinstance(value, str):
            raise self.error(name, "a string")
        try:
            return check(value)
        except ValueError as error:
            raise self.error(name, ascii(str(error)[:200])[1:-1]) from None

    def whole(self, name: str, *, least: int = 0, most: int = MOST_WHOLE) -> int:
        """Return a whole number from ``least`` to ``most``."""
        value = self._left.pop(name, None)
        if type(value) is not int or not least <= value <= most:
            raise self.error(name, f"a whole number from {least} to {most}")
        return value

    def items(self, name: str, *, most: int) -> tuple[Fields, ...]:
        """Return a list of at most ``most`` objects."""
        value = self._left.pop(name, None)
        if not isinstance(value, list) or len(value) > most:
            raise self.error(name, f"a list of at most {most} objects")
        base = f"{self._path}.{name}" if self._path else name
        return tuple(
            Fields(item, code=self._code, path=f"{base}[{n}]") for n, item in enumerate(value)
        )

    def object(self, name: str) -> Fields:
        """Return an object."""
        path = f"{self._path}.{name}" if self._path else name
        return Fields(self._left.pop(name, None), code=self._code, path=path)

    def finish(self) -> None:
        """Refuse what nobody took: a schema of a later version has another number."""
        if self._left:
            raise self.error("", f"no field {min(self._left)[:80]!a}")
