"""Verifying an export of the audit log, line by line and without a head-end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from openami.core.clock import parse_utc
from openami.fleet.audit import AuditError, Head, begin_line, entry_line, extend, read_head
from openami.fleet.devices import AuditEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.fleet.audit import HeadKey


class Verifier:
    """Takes the lines of an export in order, and says what is wrong first.

    A line that is not octet for octet what an export writes is refused, whatever it means.

    Args:
        key: what heads are checked with.
        kept: a head that was kept from before: the log must go at least so far, and be the same.

    Raises:
        AuditError: ``audit.signature``, what was kept was not signed with ``key``.
    """

    def __init__(self, key: HeadKey, *, kept: Head | None = None) -> None:
        self._key = key
        self._kept = kept
        if kept is not None:
            kept.check(key)
        self._last: Head | None = None  # of it only number and hash; None: nothing has begun
        self._end: Head | None = None
        self._gap = 0  # the first number that was not there in its place; 0: there is none
        self.first = 0
        """The number of the first entry that there should be."""

    @property
    def number(self) -> int:
        """The number of the last entry that was found to be right."""
        return 0 if self._last is None else self._last.number

    def take(self, line: str) -> None:
        """Take the next line with its line feed; AuditError."""
        if self._end is not None:
            raise AuditError("something follows the head", code="audit.head")
        try:
            said = json.loads(line)
            kind = next(iter(said))
            _KINDS[kind](self, line, said)
        except (ValueError, KeyError, TypeError, StopIteration, OverflowError, RecursionError):
            raise self._unreadable() from None

    def finish(self) -> Head:
        """Return the head of a log that is whole and is what was signed; AuditError."""
        if self._gap:
            words = f"entry {self._gap} is missing"
            raise AuditError(words, code="audit.missing", number=self._gap)
        if self._end is None:
            raise self._cut("the export", "has no signed head at its end")
        if self._end.number > self.number:
            raise self._cut("the export", f"its head is of entry {self._end.number}")
        if self._kept is not None and self._kept.number > self.number:
            raise self._cut("the log", f"it went up to {self._kept.number} before")
        return self._end

    def _begin(self, line: str, said: Mapping[str, Any]) -> None:
        after = Head(int(said["after"]), bytes.fromhex(said["hash"]))
        if self._last is not None or line != begin_line(after):
            raise self._unreadable()
        if after.number == 0 and after != Head():
            raise AuditError("the chain begins with a hash of its own", code="audit.changed")
        if self._kept is not None and self._kept.number < after.number:
            raise AuditError(
                f"the export begins after entry {after.number}, the head that was kept is of "
                f"entry {self._kept.number}",
                code="audit.rewritten",
            )
        self.first = after.number + 1
        self._move(after)

    def _entry(self, line: str, said: Mapping[str, Any]) -> None:
        number = int(said["number"])
        if self._last is None:
            raise self._unreadable()
        if self._gap:
            self._seek(number)
        elif number <= self.number:
            words = f"an entry {number} stands after entry {self.number}"
            raise AuditError(words, code="audit.inserted", number=number)
        elif number > self.number + 1:
            self._gap = self.number + 1
        else:
            self._chain(line, said, self._last)

    def _seek(self, number: int) -> None:
        """Tell entries that changed places from one that is missing."""
        if number == self._gap:
            words = f"entry {number} stands behind a later one"
            raise AuditError(words, code="audit.order", number=number)

    def _chain(self, line: str, said: Mapping[str, Any], last: Head) -> None:
        told = (said["what"], said["subject"], said["why"])
        (found,) = extend(last, [AuditEntry(said["who"], parse_utc(said["time"]), *told)])
        if found.hash is None or entry_line(found) != line:
            words = f"entry {last.number + 1} is not the one that was laid down there"
            raise AuditError(words, code="audit.changed", number=last.number + 1)
        self._move(Head(last.number + 1, found.hash))

    def _move(self, to: Head) -> None:
        kept = self._kept
        if kept is not None and kept.number == to.number and kept.hash != to.hash:
            raise AuditError(
                f"the log up to entry {to.number} is another than it was before",
                code="audit.rewritten",
                number=to.number,
            )
        self._last = to

    def _head(self, line: str, _said: Mapping[str, Any]) -> None:
        head = read_head(line)
        if self._last is None:
            raise self._unreadable()
        head.check(self._key)
        same = head.hash == self._last.hash
        if not self._gap and (
            head.number < self.number or (head.number == self.number and not same)
        ):
            raise AuditError(
                f"the signed head is of entry {head.number}, and not of what ends with entry "
                f"{self.number}",
                code="audit.head",
                number=head.number,
            )
        self._end = head

    def _unreadable(self) -> AuditError:
        return AuditError(
            f"what follows entry {self.number} is no line of an audit log",
            code="audit.unreadable",
            number=self.number + 1,
        )

    def _cut(self, what: str, why: str) -> AuditError:
        return AuditError(
            f"{what} ends after entry {self.number}, and {why}",
            code="audit.cut",
            number=self.number + 1,
        )


# The kind of a line is its first name.
_KINDS: Final[Mapping[str, Callable[[Verifier, str, Mapping[str, Any]], None]]] = {
    "log": Verifier._begin,  # noqa: SLF001 - this module's own
    "number": Verifier._entry,  # noqa: SLF001
    "head": Verifier._head,  # noqa: SLF001
}
