"""The envelope of messages: what an answer keeps of its request, and to what there is no answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from openami.c1222.apdu import TAG, Apdu
from openami.c1222.codes import Qualifier, ResponseControl
from openami.c1222.conformance.case import ENVELOPE, Exchange, FindingError, Row, case
from openami.c1222.conformance.lab import SESSION_S, Lab
from openami.c1222.services import Failure, Logon
from openami.c1222.titles import ApTitle
from openami.wire import ber

if TYPE_CHECKING:
    from openami.c1222.conformance.case import Steps

NOBODY: Final = ApTitle.parse(".2147483646.1153")
"""A title that no network gives away."""
_HIGH: Final = 0x8000_0000
_APART: Final = 0x10
"""Between ids that must not be taken for each other, though a node may be off by one."""
_ENVELOPE: Final = "C12.22, 5.3.4"


@case("envelope", Row.MESSAGE, _ENVELOPE, ENVELOPE)
def envelope(lab: Lab) -> Steps:
    """An answer is a message, with an invocation id, its fields once each and in order."""
    apdu = yield from lab.deliver(lab.message(lab.probe))
    lab.open(apdu)
    lab.answered = "a message"


@case("invocation-id", Row.MESSAGE, "C12.22, 5.3.4: called AP invocation id", "invocation-id")
def invocation_id(lab: Lab) -> Steps:
    """An answer names the invocation id of its request, of which 32 bits have no sign."""
    for number in (lab.next_id & 0x7F, lab.next_id | _HIGH):
        made = lab.message(lab.probe, invocation_id=number)
        apdu = yield from lab.deliver(made)
        lab.answered = f"{apdu.answers} to {number}"
        if apdu.answers != number:
            raise FindingError("invocation-id", f"id {number} wanted, not {apdu.answers}")


@case("own-id", Row.MESSAGE, "C12.22, 5.3.4: calling AP invocation id", "own-id")
def own_id(lab: Lab) -> Steps:
    """Each answer has an invocation id of its own."""
    one = yield from lab.deliver(lab.message(lab.probe))
    other = yield from lab.deliver(lab.message(lab.probe))
    lab.answered = f"{one.invocation_id}, {other.invocation_id}"
    if one.invocation_id == other.invocation_id:
        raise FindingError("own-id", f"two answers have the id {one.invocation_id}")


@case("titles", Row.MESSAGE, "C12.22, 5.3.4: called and calling AP title", "titles")
def titles(lab: Lab) -> Steps:
    """The titles of an answer are those of its request, changed over octet for octet."""
    node, title = lab.target.node, lab.target.title
    forms = (
        (node, title),
        (node.absolute(), title.absolute()),
        (node.shortest(), title.absolute()),
        (node.absolute(), title.shortest()),
    )
    for called, calling in forms:
        apdu = yield from lab.deliver(lab.message(lab.probe, called=called, calling=calling))
        lab.answered = f"to {apdu.called}, from {apdu.calling}"
        if (apdu.called, apdu.calling) != (calling, called):
            raise FindingError("titles", f"to {calling} from {called} wanted, not {lab.answered}")


@case("foreign-title", Row.MESSAGE, "C12.22, 5.3.4: called AP title", "foreign-title")
def foreign_title(lab: Lab) -> Steps:
    """A message for another node is not answered."""
    made = lab.message(lab.probe, called=NOBODY)
    yield from lab.silent("foreign-title", "a message for another node", made.octets)


@case("answer-answered", Row.MESSAGE, "C12.22, 5.3.4: called AP invocation id", "answer-answered")
def answer_answered(lab: Lab) -> Steps:
    """A message that says that it answers another is not answered."""
    made = lab.message(lab.probe, answers=lab.next_id - 1)
    yield from lab.silent("answer-answered", "an answer", made.octets)


@case("notification", Row.MESSAGE, "C12.22, 5.3.4: calling AE qualifier", "notification")
def notification(lab: Lab) -> Steps:
    """A notification that wants no answer gets none."""
    made = lab.message(lab.probe, qualifier=Qualifier.NOTIFICATION, respond=ResponseControl.NEVER)
    yield from lab.silent("notification", "a notification", made.octets)


@case("duplicate", Row.MESSAGE, "C12.22, 5.3.4: retries", "duplicate")
def duplicate(lab: Lab) -> Steps:
    """A request that comes again, octet for octet, is not done again."""
    made = lab.message(Logon.of(lab.target.user, b"openami", SESSION_S))
    lab.session = True
    (first,) = yield from lab.talk(made)
    lab.session = not isinstance(first, Failure)
    lab.next_id += _APART
    probe = lab.message(lab.probe)
    heard = yield Exchange((*lab.pieces(made.octets), *lab.pieces(probe.octets)))
    again = lab.answer_in(heard)
    if again is None or lab.is_answer(again, probe):
        return  # refused in silence, as repeats of protected messages may be
    if len(heard.messages) == 1:
        yield Exchange()  # the answer to the other question
    said, before = lab.open(again).epsem.services, first.encode()
    if said != (before,):
        then = b"".join(said).hex().upper()
        raise FindingError("duplicate", f"{before.hex().upper()} at first, {then} then")


def _cut(octets: bytes) -> list[tuple[str, bytes]]:
    """Return messages that break the stream they are in."""
    return [
        ("a message that is cut off", octets[:-3]),
        ("a length of more than the message", bytes((octets[0], octets[1] + 4)) + octets[2:]),
        ("a length without end", bytes((octets[0], 0x80)) + octets[2:] + bytes(2)),
        ("a length of five octets", bytes((octets[0], 0x85)) + bytes(4) + octets[1:]),
        ("octets that are no message", b"GET / HTTP/1.0\r\n\r\n"),
    ]


def _wrong(octets: bytes, apdu: Apdu) -> list[tuple[str, bytes]]:
    """Return messages that are whole, and none."""
    first = Apdu.decode(octets).parts[0]
    body = octets[first.start :]
    at = len(octets) - len(apdu.information)
    epsem = octets[at:]

    def saying(information: bytes) -> bytes:
        return replace(apdu, information=information).encode()

    return [
        ("a field that comes twice", ber.wrap(TAG, octets[first.start : first.end] + body)),
        ("an unknown field", ber.wrap(TAG, body + b"\xbf\x00")),
        ("a message without fields", ber.wrap(TAG, b"")),
        ("no EPSEM", saying(b"")),
        ("a control octet without its reserved bit", saying(bytes((epsem[0] & 0x7F,)) + epsem[1:])),
        ("a security mode that is none", saying(bytes((epsem[0] | 0x0C,)) + epsem[1:])),
        ("a service that is cut off", saying(epsem[:1] + b"\x7f\x20")),
    ]


@case("malformed", Row.MESSAGE, "ITU-T X.690; C12.22, 5.3.4", "malformed")
def malformed(lab: Lab) -> Steps:
    """What is no message is not answered, and harms nobody."""
    made = lab.message(lab.probe)
    for _, octets in _cut(made.octets):
        yield Exchange((octets,), wanted=0, apart=True)
    for what, octets in _wrong(made.octets, Apdu.decode(made.octets)):
        yield from lab.silent("malformed", what, octets)


CASES: Final = (
    envelope,
    invocation_id,
    own_id,
    titles,
    foreign_title,
    answer_answered,
    notification,
    duplicate,
    malformed,
)
