"""Security setup, association objects, and invocation counters."""

from __future__ import annotations

from typing import Any

import pytest

from openami.core.errors import ConfigError, SecurityError, StoreError
from openami.core.identifiers import SystemTitle
from openami.core.obis import Obis
from openami.crypto.keywrap import wrap
from openami.dlms import data as d
from openami.dlms.apdu.acse import ApplicationContext, Mechanism
from openami.dlms.cosem import (
    AccessError,
    ActionError,
    AssociationLn,
    ClientKind,
    Context,
    CosemObject,
    KeptCounters,
    Negotiated,
    SecuritySetup,
    SecurityState,
)
from openami.dlms.cosem.security import policy_controls
from openami.dlms.results import ActionResult, DataAccessResult
from openami.dlms.security import AUTHENTICATED, BOTH, ENCRYPTED, NOTHING, Keys

GUEK, GAK, MASTER = bytes(range(16)), bytes(range(16, 32)), bytes(range(32, 48))
TITLE = SystemTitle.of("OAM", 9)


def make(**fields: Any) -> SecuritySetup:
    return SecuritySetup(keys=Keys(guek=GUEK, gak=GAK), title=TITLE, master=MASTER, **fields)


def denied(
    item: CosemObject, index: int, parameter: d.Data | None = None, context: Context | None = None
) -> ActionResult:
    with pytest.raises(ActionError) as raised:
        item.invoke(index, parameter, context or Context())
    return raised.value.result


# -- policies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "version", "controls"),
    [
        (0, 0, (NOTHING, NOTHING)),
        (1, 0, (AUTHENTICATED, AUTHENTICATED)),
        (2, 0, (ENCRYPTED, ENCRYPTED)),
        (3, 0, (BOTH, BOTH)),
        (0, 1, (NOTHING, NOTHING)),
        (0x04, 1, (AUTHENTICATED, NOTHING)),
        (0x08, 1, (ENCRYPTED, NOTHING)),
        (0x20, 1, (NOTHING, AUTHENTICATED)),
        (0x40, 1, (NOTHING, ENCRYPTED)),
        (0x6C, 1, (BOTH, BOTH)),
    ],
)
def test_what_policies_want(policy: int, version: int, controls: tuple[Any, Any]) -> None:
    assert policy_controls(policy, version) == controls
    item = make(policy=policy, version=version)
    assert (item.request_control, item.response_control) == controls
    assert item.demands == (policy != 0)
    assert item.read(2) == d.enum(policy)


@pytest.mark.parametrize(("policy", "version"), [(4, 0), (1, 1), (0x10, 1), (0x80, 1), (0x100, 1)])
def test_policies_that_there_are_not(policy: int, version: int) -> None:
    with pytest.raises(SecurityError):
        make(policy=policy, version=version)


def test_attributes() -> None:
    item = make(client_title=SystemTitle.of("DCU", 1))
    assert item.read(3) == d.enum(0)
    assert item.read(4) == d.octets(b"DCU\0\0\0\0\1")
    assert item.read(5) == d.octets(TITLE.raw)
    assert item.version == 0
    assert 6 not in item.attributes()
    later = make(version=1)
    assert later.version == 1
    assert later.read(6) == d.array()
    assert later.read(4) == d.octets(b"")


@pytest.mark.fums("SEC-5")
def test_a_policy_is_only_strengthened() -> None:
    kept: list[SecurityState] = []
    item = make(policy=1, keep=kept.append)
    assert denied(item, 1, d.enum(0)) is ActionResult.OTHER_REASON
    assert denied(item, 1, d.enum(2)) is ActionResult.OTHER_REASON
    assert denied(item, 1, d.enum(9)) is ActionResult.OTHER_REASON
    assert denied(item, 1, d.u8(3)) is ActionResult.TYPE_UNMATCHED
    item.invoke(1, d.enum(3))
    assert item.policy == 3
    assert [state.policy for state in kept] == [3]


def test_a_policy_that_cannot_be_kept_does_not_hold() -> None:
    def full(_: SecurityState) -> None:
        raise StoreError("no room left")

    item = make(keep=full)
    assert denied(item, 1, d.enum(3)) is ActionResult.TEMPORARY_FAILURE
    assert item.policy == 0


# -- keys ----------------------------------------------------------------------------------------


def key(number: int, octets: bytes, master: bytes = MASTER) -> d.Data:
    return d.structure(d.enum(number), d.octets(wrap(master, octets)))


def test_keys_are_transferred() -> None:
    kept: list[SecurityState] = []
    counters = KeptCounters(last=77)
    item = make(keep=kept.append, counters=counters)
    new = [bytes((n,)) * 16 for n in range(4)]
    item.invoke(2, d.array(key(2, new[2])))
    assert item.keys == Keys(guek=GUEK, gak=new[2])
    assert counters.last == 77
    item.invoke(2, d.array(*(key(n, new[n]) for n in range(4))))
    assert item.keys == Keys(guek=new[0], gbek=new[1], gak=new[2])
    assert item.state.master == new[3]
    assert counters.last == -1, "a new encryption key begins with new counters"
    assert len(kept) == 2
    assert new[0].hex() not in repr(kept)
    item.invoke(2, d.array(key(0, GUEK, master=new[3])))
    assert item.keys.guek == GUEK


def test_keys_that_are_not_taken() -> None:
    item = make()
    before = item.state
    other, mismatch = ActionResult.OTHER_REASON, ActionResult.TYPE_UNMATCHED
    good = key(0, bytes(16))
    assert denied(item, 2, d.array()) is other
    assert denied(item, 2, d.array(*(good,) * 5)) is other
    assert denied(item, 2, d.array(good, key(4, bytes(16)))) is other
    assert denied(item, 2, d.array(good, key(0, bytes(16), master=GUEK))) is other
    assert denied(item, 2, d.array(good, key(2, bytes(32)))) is other
    assert denied(item, 2, d.array(d.structure(d.enum(0), d.octets(b"")))) is other
    assert denied(item, 2, d.array(d.structure(d.enum(0)))) is mismatch
    assert denied(item, 2, d.structure(good)) is mismatch
    assert item.state == before
    bare = SecuritySetup(keys=Keys(guek=GUEK, gak=GAK), title=TITLE)
    assert denied(bare, 2, d.array(good)) is ActionResult.READ_WRITE_DENIED


# -- counters ------------------------------------------------------------------------------------


def test_counters_are_kept_before_they_are_used() -> None:
    kept: list[tuple[int, int]] = []
    counters = KeptCounters(10, 5, lambda *state: kept.append(state), reserve=3)
    assert [counters.take() for _ in range(4)] == [10, 11, 12, 13]
    assert kept == [(13, 5), (16, 5)]
    counters.accept(9)
    assert kept[-1] == (16, 9)
    with pytest.raises(SecurityError) as raised:
        counters.accept(9)
    assert raised.value.code == "security.replay"
    assert counters.next == 14
    counters.renew(bytes(16))
    assert kept[-1] == (16, -1)
    counters.accept(0)


def test_a_counter_that_cannot_be_kept_is_not_accepted() -> None:
    full = [False]

    def keep(_limit: int, _last: int) -> None:
        if full[0]:
            raise StoreError("no room left")

    counters = KeptCounters(keep=keep)
    counters.accept(1)
    full[0] = True
    with pytest.raises(StoreError):
        counters.accept(2)
    full[0] = False
    counters.accept(2)
    assert counters.last == 2


def test_a_counter_that_cannot_be_kept_is_not_given_out() -> None:
    full, kept = [True], []

    def keep(limit: int, _last: int) -> None:
        if full[0]:
            raise StoreError("no room left")
        kept.append(limit)

    counters = KeptCounters(10, keep=keep, reserve=3)
    for _ in range(2):
        with pytest.raises(StoreError):
            counters.take()
    full[0] = False
    assert (counters.take(), kept) == (10, [13])


def test_own_counters_end() -> None:
    counters = KeptCounters(0xFFFFFFFF)
    assert counters.take() == 0xFFFFFFFF
    with pytest.raises(SecurityError) as raised:
        counters.take()
    assert raised.value.code == "security.counter"


# -- associations --------------------------------------------------------------------------------


def lls(**fields: Any) -> AssociationLn:
    values: dict[str, Any] = {
        "client": 2,
        "kind": ClientKind.READER,
        "mechanism": Mechanism.LLS,
        "secret": b"secret",
        **fields,
    }
    return AssociationLn("0.0.40.0.2.255", **values)


@pytest.mark.parametrize(
    "fields",
    [
        {"secret": b""},
        {"secret": bytes(65)},
        {"mechanism": Mechanism.HLS_GMAC},
        {"mechanism": Mechanism.HLS_SHA256},
        {"contexts": (ApplicationContext.LN_CIPHERED,)},
    ],
)
def test_associations_that_cannot_be(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        lls(**fields)


def test_what_an_association_says_of_itself() -> None:
    item = lls(contexts=(ApplicationContext.LN, ApplicationContext.LN_CIPHERED), security=make())
    assert item.read(3) == d.structure(d.i8(2), d.u16(1))
    assert item.read(4) == d.octets(bytes.fromhex("60857405080101"))
    assert item.read(6) == d.octets(bytes.fromhex("60857405080201"))
    assert item.read(8) == d.enum(0)
    assert item.read(9) == d.octets(Obis.parse("0.0.43.0.0.255").raw)
    assert lls().read(9) == d.octets(bytes(6))
    with pytest.raises(AccessError) as raised:
        item.read(7)
    assert raised.value.result is DataAccessResult.READ_WRITE_DENIED
    negotiated = Negotiated(3, 1, item.conformance, 500, 600)
    own = Context(association=item.obis, negotiated=negotiated)
    assert item.read(4, own) == d.octets(bytes.fromhex("60857405080103"))
    assert item.read(8, own) == d.enum(2)
    info = item.read(5, own).value  # type: ignore[union-attr]
    assert [i.value for i in info[1:]] == [500, 600, 6, 0, b""]
    pending = Context(
        association=item.obis,
        negotiated=Negotiated(1, 1, item.conformance, 500, 600, established=False),
    )
    assert item.read(8, pending) == d.enum(1)
    other = Context(association=Obis.parse("0.0.40.0.9.255"), negotiated=negotiated)
    assert item.read(8, other) == d.enum(0)
    assert d.decode_data(item.read(2).encode()).items() != ()


def test_a_password_is_written_and_never_read() -> None:
    kept: list[bytes] = []
    item = lls(on_secret=kept.append)
    item.write(7, d.octets(b"another"))
    assert (item.secret, kept) == (b"another", [b"another"])
    for wrong in (b"", bytes(65)):
        with pytest.raises(AccessError) as raised:
            item.write(7, d.octets(wrong))
        assert raised.value.result is DataAccessResult.OTHER_REASON
    public = AssociationLn("0.0.40.0.1.255", client=16, kind=ClientKind.PUBLIC)
    with pytest.raises(AccessError) as raised:
        public.write(7, d.octets(b"x"))
    assert raised.value.result is DataAccessResult.READ_WRITE_DENIED


def test_a_secret_is_changed_only_under_encryption() -> None:
    item = lls()
    secret = d.octets(b"another")
    assert denied(item, 2, secret) is ActionResult.READ_WRITE_DENIED
    item.invoke(2, secret, Context(encrypted=True))
    assert item.secret == b"another"
    hidden = Context(encrypted=True)
    assert denied(item, 2, d.octets(b""), hidden) is ActionResult.OTHER_REASON
    gmac = lls(mechanism=Mechanism.HLS_GMAC, security=make())
    assert denied(gmac, 2, secret, hidden) is ActionResult.READ_WRITE_DENIED


def test_hls_is_answered_by_whoever_holds_the_challenge() -> None:
    item = lls()
    asked: list[bytes] = []

    def hls(answer: bytes) -> bytes | None:
        asked.append(answer)
        return b"pass 4" if answer == b"pass 3" else None

    context = Context(hls=hls)
    assert item.invoke(1, d.octets(b"pass 3"), context) == d.octets(b"pass 4")
    assert denied(item, 1, d.octets(b"wrong"), context) is ActionResult.READ_WRITE_DENIED
    assert denied(item, 1, d.octets(b"pass 3")) is ActionResult.READ_WRITE_DENIED
    assert denied(item, 1, d.u8(1), context) is ActionResult.TYPE_UNMATCHED
    assert asked == [b"pass 3", b"wrong"]
