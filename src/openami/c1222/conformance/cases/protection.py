"""Protection: what is kept in answers, and what is refused in silence (C12.22, 5.3.4.13)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from openami.c1222.apdu import Apdu, KeyUse, parts
from openami.c1222.codes import SecurityMode
from openami.c1222.conformance.case import PREFIX, TAG, UNANSWERED, FindingError, Row, case, skipped
from openami.c1222.conformance.lab import Lab, retitled
from openami.c1222.epsem import Epsem
from openami.c1222.security import Keys, canonical
from openami.crypto.eax import TAG_SIZE
from openami.wire import ber

if TYPE_CHECKING:
    from openami.c1222.conformance.case import Steps
    from openami.c1222.conformance.lab import Made
    from openami.c1222.titles import ApTitle

_PROTECTION: Final = "C12.22, 5.3.4.13"
_FORGERY: Final = "IACR eprint 2012/018"
_WINDOW_S: Final = 15 * 60
_LONG_S: Final = 20 * 60
_FORGERIES: Final = 4
"""Fewer than a node bears before it pauses."""
_BLOCK: Final = 16
_NO_KEY: Final = bytes.fromhex("6F70656E616D69206E6F206B65792121")
_IDS: Final = 0x100


def _guarded(lab: Lab, mode: SecurityMode | None = None) -> Made:
    """Return a message with a tag."""
    lab.need_key()
    return lab.message(lab.probe, mode=mode or lab.guarded)


@case("mode-1", Row.PROTECTION, f"{_PROTECTION}: mode 1", "protection")
def mode_1(lab: Lab) -> Steps:
    """A message in clear with a tag is served."""
    yield from lab.talk(_guarded(lab, SecurityMode.AUTHENTICATED))


@case("mode-2", Row.PROTECTION, f"{_PROTECTION}: mode 2", "protection")
def mode_2(lab: Lab) -> Steps:
    """An encrypted message with a tag is served."""
    yield from lab.talk(_guarded(lab, SecurityMode.ENCRYPTED))


@case("mode-kept", Row.PROTECTION, f"{_PROTECTION}: security mode", "mode")
def mode_kept(lab: Lab) -> Steps:
    """An answer is protected no less than its request."""
    made = _guarded(lab)
    apdu = yield from lab.deliver(made)
    mode = SecurityMode(apdu.information[0] >> 2 & 3) if apdu.information else 0
    lab.answered = f"mode {int(mode)}"
    if mode < made.mode:
        raise FindingError("mode", f"mode {int(made.mode)} wanted, not {int(mode)}")


@case("key-id", Row.PROTECTION, f"{_PROTECTION}: key id", "key-id")
def key_id(lab: Lab) -> Steps:
    """An answer is protected with the key of its request."""
    made = _guarded(lab)
    apdu = yield from lab.deliver(made)
    asked = made.apdu.key
    lab.answered = "no key" if apdu.key is None else f"key {apdu.key.key_id}"
    if asked is not None and apdu.key is not None and apdu.key.key_id != asked.key_id:
        raise FindingError("key-id", f"key {asked.key_id} wanted, not {apdu.key.key_id}")


@case("answer-tag", Row.PROTECTION, f"{_PROTECTION}: mac", TAG)
def answer_tag(lab: Lab) -> Steps:
    """The tag of an answer is right."""
    lab.open((yield from lab.deliver(_guarded(lab))))
    lab.answered = "a right tag"


@case("answer-time", Row.PROTECTION, f"{_PROTECTION}: initialization vector", "answer-time")
def answer_time(lab: Lab) -> Steps:
    """The time in an answer is the present one, within the window in which messages are taken."""
    apdu = yield from lab.deliver(_guarded(lab))
    if apdu.key is None:
        raise skipped("the answer says no time")
    late = int(lab.now) - apdu.key.time
    lab.answered = f"{late:+d} s"
    if abs(late) > _WINDOW_S:
        raise FindingError("answer-time", f"the node's clock is {late} seconds behind")


def _flip(octets: bytes, at: int) -> bytes:
    changed = bytearray(octets)
    changed[at] ^= 1
    return bytes(changed)


def _changed(made: Made) -> list[tuple[str, bytes]]:
    """Return a message changed in several places, its tag as it was."""
    found = {part.tag: part for part in Apdu.decode(made.octets).parts}
    caller = found[0xA6]
    return [
        ("a message with a wrong tag", _flip(made.octets, -1)),
        ("a message with another text", _flip(made.octets, -TAG_SIZE - 1)),
        ("a message with another sender", _flip(made.octets, caller.end - 1)),
        ("a message with another id", _flip(made.octets, found[0xA8].end - 1)),
    ]


@case("wrong-tag", Row.PROTECTION, f"{_PROTECTION}: mac", "wrong-tag")
def wrong_tag(lab: Lab) -> Steps:
    """A message that was changed in any place is refused in silence."""
    for what, octets in _changed(_guarded(lab)):
        yield from lab.silent("wrong-tag", what, octets, mode=lab.guarded)


@case("unknown-key", Row.PROTECTION, f"{_PROTECTION}: key id", "unknown-key")
def unknown_key(lab: Lab) -> Steps:
    """A message with a key that the node has not is refused in silence."""
    lab.need_key()
    number = next(each for each in reversed(range(_IDS)) if each not in lab.target.keys)
    made = lab.message(lab.probe, mode=lab.guarded, keys=Keys({number: _NO_KEY}), key_id=number)
    yield from lab.silent("unknown-key", "an unknown key", made.octets, mode=lab.guarded)


@case("untitled", Row.PROTECTION, _FORGERY, "untitled")
def untitled(lab: Lab) -> Steps:
    """A message that is protected, and does not say who sent it, is refused in silence."""
    made = _guarded(lab)
    apdu = replace(made.apdu, calling=None)
    octets = _sealed(lab, apdu, made)
    yield from lab.silent("untitled", "a message without a sender", octets, mode=lab.guarded)


def _sealed(lab: Lab, apdu: Apdu, made: Made) -> bytes:
    """Return a message with a right tag, of which we send no such ourselves."""
    assert apdu.key is not None
    epsem = Epsem((lab.probe.encode(),), made.mode)
    draft = replace(apdu, information=bytes((epsem.control,)) + epsem.body() + bytes(TAG_SIZE))
    octets = draft.encode()
    at = len(octets) - len(epsem.body()) - TAG_SIZE
    eax = lab.target.keys.eax(apdu.key.key_id)
    seal = eax.seal if made.mode is SecurityMode.ENCRYPTED else eax.sign
    return octets[:at] + seal(canonical(octets, parts(octets), at, apdu.key), epsem.body())


@case("forged", Row.PROTECTION, _FORGERY, "forged")
def forged(lab: Lab) -> Steps:
    """A message of so little cleartext that its tag can be forged without the key is refused."""
    lab.need_key()
    assert lab.target.key_id is not None
    for number in range(_FORGERIES):
        use = KeyUse.at(lab.target.key_id, lab.now + number)
        octets = forgery(use)
        yield from lab.silent("forged", "a forged message", octets, mode=lab.guarded)


def forgery(use: KeyUse) -> bytes:
    """Return a message that only EAX' itself lets pass, made without the key.

    Its cleartext is less than a block; where the text is the same block, padded, both chains end
    alike and the tag is zero.
    """
    control = Epsem((), SecurityMode.ENCRYPTED).control
    size = 1 + _BLOCK + TAG_SIZE
    head = bytes((0xBE, size + 4, 0x28, size + 2, 0x81, size, control))
    clear = head + bytes((use.key_id,)) + use.iv
    text = (clear + b"\x80").ljust(_BLOCK, b"\x00")
    return ber.wrap(0x60, head + text + bytes(TAG_SIZE))


@case("replay", Row.PROTECTION, f"{_PROTECTION}: replay", "replay")
def replay(lab: Lab) -> Steps:
    """A protected message that comes again is not served again, in whatever form its titles are."""
    made = _guarded(lab)
    first = yield from lab.deliver(made)
    again = retitled(made, *_other_forms(lab))
    yield from lab.silent(
        "replay", "a message that came before", again, kept=first, mode=lab.guarded
    )


@case("relayed", Row.PROTECTION, f"{_PROTECTION}: canonical form", "relayed")
def relayed(lab: Lab) -> Steps:
    """A relay may write relative titles as absolute ones: the tag is right in both forms."""
    made = _guarded(lab)
    other = replace(made, octets=retitled(made, *_other_forms(lab)))
    try:
        yield from lab.talk(other)
    except FindingError as error:
        if error.code != PREFIX + UNANSWERED:
            raise
        raise FindingError("relayed", "no answer to titles in their other form") from None


def _other_forms(lab: Lab) -> tuple[ApTitle, ApTitle]:
    """Return the titles of the node and of the tester in their other form."""
    node, title = (
        each.absolute() if each.relative else each.shortest()
        for each in (lab.target.node, lab.target.title)
    )
    return node, title


@case("time-window", Row.PROTECTION, f"{_PROTECTION}: initialization vector", "time-window")
def time_window(lab: Lab) -> Steps:
    """A message that is older, or newer, than a quarter of an hour is refused in silence."""
    lab.need_key()
    for seconds, what in ((-_LONG_S, "an old message"), (_LONG_S, "a message of the future")):
        made = lab.message(lab.probe, mode=lab.guarded, at=lab.now + seconds)
        yield from lab.silent("time-window", what, made.octets, mode=lab.guarded)


@case("session-mode", Row.PROTECTION, f"{_PROTECTION}: security mode", "session-mode")
def session_mode(lab: Lab) -> Steps:
    """In a session that began with protection nothing is served without."""
    lab.need_key()
    yield from lab.logon(mode=lab.guarded)
    made = lab.message(lab.probe, mode=SecurityMode.CLEAR)
    yield from lab.silent("session-mode", "a message in clear", made.octets, mode=lab.guarded)


CASES: Final = (
    mode_1,
    mode_2,
    mode_kept,
    key_id,
    answer_tag,
    answer_time,
    wrong_tag,
    unknown_key,
    untitled,
    forged,
    replay,
    relayed,
    time_window,
    session_mode,
)
