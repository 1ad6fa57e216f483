"""What devices are to be like: groups, wishes, differences, refusals."""

from __future__ import annotations

import pytest

from openami.fleet.desired import (
    ABSENT,
    BATCH_OCTETS,
    BATCH_STEPS,
    Group,
    KnownNode,
    Refusal,
    Scope,
    ScopeKind,
    Setting,
    Step,
    StepKind,
    Wish,
    batches,
    difference,
    due,
    effective,
    equal,
    is_secret,
    object_of,
)
from openami.fleet.known import NO_ANSWER, Lesson, TreeChange, leaf, learn, settle
from openami.fleet.management import Outcome
from openami.fleet.ports import DeviceFilter
from openami.fleet.verdicts import Verdict, judge

WINDOW = "./AMI/Link/Window"
RETRIES = "./AMI/Link/Retries"
METER = "./AMI/Meters/7"
SERIAL = f"{METER}/Serial"
DEVICE = Scope(ScopeKind.DEVICE, "D1")
ALL = Group("all", DeviceFilter(), 0)
NORTH = Group("north", DeviceFilter(region="north"), 10)
SOUTH = Group("south", DeviceFilter(region="south"), 10)


def wish(scope: Scope | Group, uri: str, value: str | None = "1", form: str = "int") -> Wish:
    setting = Setting(uri) if value is None else Setting(uri, form, value)
    return Wish(scope.scope if isinstance(scope, Group) else scope, setting)


def known(*nodes: KnownNode) -> dict[str, KnownNode]:
    return {node.uri: node for node in nodes}


def steps(*uris: str, value: str = "1") -> tuple[Step, ...]:
    return tuple(Step(StepKind.REPLACE, wish(DEVICE, uri, value), "0") for uri in uris)


@pytest.mark.parametrize("text", ["group:all-1", "device:OAM.1_a"])
def test_scopes_are_text_both_ways(text: str) -> None:
    assert str(Scope.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "all", "group:", "group:a b", "group:" + "a" * 65, "device:", "fleet:x", "device:a/b"],
)
def test_what_is_no_scope_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Scope.parse(text)


def test_the_nearest_wish_wins() -> None:
    found = effective(
        [SOUTH, ALL, NORTH],
        [
            wish(DEVICE, WINDOW, "5"),
            wish(NORTH, WINDOW, "3"),
            wish(ALL, WINDOW, "1"),
            wish(ALL, RETRIES, "1"),
            wish(NORTH, RETRIES, "2"),
            wish(SOUTH, RETRIES, "4"),
        ],
    )
    assert {uri: w.setting.value for uri, w in found.items()} == {WINDOW: "5", RETRIES: "4"}
    assert found[RETRIES].scope == SOUTH.scope  # of equal priority, the later name


def test_what_is_not_to_be_and_what_is_below_it_give_way_to_the_nearer_wish() -> None:
    away, there = wish(ALL, METER, None), wish(DEVICE, SERIAL, "A1", "chr")
    assert effective([ALL], [there, away]) == {SERIAL: there}
    away, there = wish(DEVICE, METER, None), wish(ALL, SERIAL, "A1", "chr")
    assert effective([ALL], [there, away]) == {METER: away}
    # Within one scope, what is to be there wins: it was said more exactly.
    away, there = wish(ALL, METER, None), wish(ALL, SERIAL, "A1", "chr")
    assert effective([ALL], [there, away]) == {SERIAL: there}


def test_the_difference_is_what_has_to_change() -> None:
    wanted = effective(
        [],
        [
            wish(DEVICE, WINDOW, "7"),
            wish(DEVICE, RETRIES, "+3"),
            wish(DEVICE, SERIAL, "A1", "chr"),
            wish(DEVICE, "./AMI/Meters/8", None),
            wish(DEVICE, "./AMI/Meters/9", None),
            wish(DEVICE, "./SCHED/x/Enabled", "true", "bool"),
        ],
    )
    tree = known(
        KnownNode(WINDOW, "int", "1"),
        KnownNode(RETRIES, "int", "3"),
        KnownNode("./AMI/Meters/8", "node"),
        KnownNode("./SCHED/x/Enabled", ABSENT),
    )
    found = difference(wanted, tree)
    assert found.refused == ()
    assert [(step.kind.value, step.uri, step.old) for step in found.steps] == [
        ("delete", "./AMI/Meters/8", None),
        ("replace", WINDOW, "1"),
        ("add", SERIAL, None),
        ("add", "./SCHED/x/Enabled", None),
    ]


def test_a_refused_value_is_not_sent_again_until_another_is_wanted() -> None:
    refused = KnownNode(WINDOW, "int", "1", refused=Setting(WINDOW, "int", "99"), status=500)
    again = difference({WINDOW: wish(DEVICE, WINDOW, "99")}, known(refused))
    assert again.steps == ()
    assert again.refused == (Refusal(Step(StepKind.REPLACE, wish(DEVICE, WINDOW, "99"), "1"), 500),)
    other = difference({WINDOW: wish(DEVICE, WINDOW, "7")}, known(refused))
    assert [step.wish.setting.value for step in other.steps] == ["7"]
    never = KnownNode(SERIAL, ABSENT, refused=Setting(SERIAL, "chr", "A1"), status=405)
    missing = difference({SERIAL: wish(DEVICE, SERIAL, "A1", "chr")}, known(never))
    assert [(r.status, r.step.kind) for r in missing.refused] == [(405, StepKind.ADD)]
    assert missing.refused[0].step.old is None


@pytest.mark.parametrize(
    ("form", "one", "other", "same"),
    [
        ("int", "5", "+5", True),
        ("int", "5", "6", False),
        ("int", "5", "x", False),
        ("float", "1.0", "1", True),
        ("int", "16", "0x10", True),
        ("int", "016", "16", True),
        ("int", "16", "0x1g", False),
        ("float", "1e1", " 10", True),
        ("bool", "True", "true", True),
        ("bool", "1", "true", True),
        ("bool", "0", "false", True),
        ("bool", "1", "false", False),
        ("bool", "yes", "true", False),
        ("bin", "AAEC", "AAE\nC", True),
        ("bin", "AAEC", "AAE", False),
        ("xml", "<a><b/></a>", '<?xml version="1.0"?>\n<a>\n  <b></b>\n</a>\n', True),
        ("xml", "<a b='1' c='2'/>", '<a c="2" b="1"></a>', True),
        ("xml", "<a>x y</a>", "<a>xy</a>", False),
        ("xml", "<a/>", "<a>", False),
        ("xml", "<a/>", '<!DOCTYPE a [<!ENTITY b "c">]><a/>', False),
        ("chr", "true", "1", False),
        ("chr", "1.0", "1", False),
        ("chr", "1", "1", True),
    ],
)
def test_values_are_equal_in_any_form(form: str, one: str, other: str, *, same: bool) -> None:
    assert equal(form, one, other) is same


@pytest.mark.parametrize(
    ("uri", "secret"),
    [
        ("./DMAcc/1/AppAuth/1/AAuthSecret", True),
        ("./DMAcc/1/AppAuth/1/AAuthData", True),
        ("DMAcc/1/AppAuth/1/aauthsecret?prop=Size", True),
        ("./DMAcc/1/Name", False),
        ("./AMI/AAuthSecret", False),
    ],
)
def test_secrets_are_known_by_their_address(uri: str, *, secret: bool) -> None:
    assert is_secret(uri) is secret


def test_objects_are_sent_apart_and_within_bounds() -> None:
    assert object_of("./AMI") == object_of(WINDOW) == "./AMI"
    assert batches([]) == ()
    one, two = steps("./SCHED/a/Start", WINDOW)
    assert batches([one, two]) == ((two,), (one,))
    meters = steps(
        *(
            f"./AMI/Meters/{n:03}/{name}"
            for n in range(60)
            for name in ("Address", "Enabled", "Serial")
        )
    )
    found = batches(meters)
    assert [step for batch in found for step in batch] == list(meters)
    assert len(found) == 2
    assert all(0 < len(batch) <= BATCH_STEPS for batch in found)
    assert all(len(batch) % 3 == 0 for batch in found)  # no meter is torn apart
    large = steps(*(f"./AMI/Ext/{n}" for n in range(20)), value="x" * 4000)
    sizes = [sum(len(step.wish.setting.value) for step in batch) for batch in batches(large)]
    assert sum(sizes) == 80_000
    assert max(sizes) <= BATCH_OCTETS


def test_what_was_refused_together_is_tried_again_apart_from_others_and_after_them() -> None:
    first, most, own = "./AMI/a/First", "./AMI/a/Most", "./AMI/a/Own"
    nodes = known(
        KnownNode(first, "int", "1", bond=first),
        # Another value is wanted of it: still together with what it was refused with.
        KnownNode(most, "int", "1", refused=Setting(most, "int", "4"), status=507, bond=first),
        KnownNode(own, "int", "1", bond=own),
        KnownNode("./SCHED/x/Spread", "int", "1", bond="./SCHED/x/Spread"),
    )
    uris = (first, most, own, WINDOW, "./SCHED/x/Spread")
    found = difference({uri: wish(DEVICE, uri, "9") for uri in uris}, nodes).steps
    told = [[step.uri for step in batch] for batch in batches(found)]
    assert told == [[WINDOW], [first, most], [own], ["./SCHED/x/Spread"]]
    assert [step.uri for step in due(found)] == [WINDOW, "./SCHED/x/Spread"]
    rest = [step for step in found if step.uri != WINDOW]
    assert due(rest) == tuple(rest)
    done = settle("D1", nodes, [Outcome(Setting(first, "int", "9"), 200, "x", pushed=True)], now=9)
    assert done.kept[0].bond == ""


def test_verdicts() -> None:
    a, b, c = steps("./AMI/a", "./AMI/b", "./AMI/c")
    three = (a, b, c)
    assert judge(three, 200, {}) == Verdict(done=three)
    assert judge(three, NO_ANSWER, {}) == Verdict(unsure=True)
    # One was wrong by itself: the others are tried without it.
    parts = {"./AMI/a": 216, "./AMI/b": 415, "./AMI/c": 215}
    assert judge(three, 507, parts) == Verdict(refused=(Refusal(b, 415),))
    # All together were wrong.
    together = tuple(Refusal(step, 507) for step in three)
    assert judge(three, 507, dict.fromkeys(("./AMI/a", "./AMI/b", "./AMI/c"), 216)) == Verdict(
        refused=together, together=True
    )
    # Numbers of successes that are none: not executed, rolled back.
    for spared in (215, 216):
        assert judge((a,), spared, {a.uri: spared}).refused == (Refusal(a, spared),)
    assert judge(three, 413, {}).refused == tuple(Refusal(step, 413) for step in three)
    # A single one needs no parts, and is never tried again.
    assert judge((a,), 405, {}) == Verdict(refused=(Refusal(a, 405),))
    assert judge((a,), 405, {"./AMI/a": 405}) == Verdict(refused=(Refusal(a, 405),))
    # Nobody is refused for what was thought of the tree, unless that was seen just now.
    assert judge(three, 507, {"./AMI/a": 216, "./AMI/b": 404}) == Verdict(mistaken=True)
    assert judge(three, 507, {"./AMI/a": 216, "./AMI/b": 404}, looked=True) == Verdict(
        refused=(Refusal(b, 404),)
    )
    new = Step(StepKind.ADD, wish(DEVICE, "./AMI/d"))
    assert judge((new,), 418, {}) == Verdict(mistaken=True)
    assert judge((new,), 404, {}) == Verdict(refused=(Refusal(new, 404),))
    # What passes by itself is not the value's fault.
    assert judge(three, 507, {"./AMI/b": 420}) == Verdict(unsure=True)
    assert judge((a,), 510, {}) == Verdict(unsure=True)
    # A rollback that failed leaves nobody sure.
    assert judge((a, b), 507, {"./AMI/a": 516, "./AMI/b": 500}) == Verdict(
        refused=(Refusal(a, 516), Refusal(b, 500)), together=True, unsure=True
    )
    assert judge((a, b), 516, {}) == Verdict(
        refused=(Refusal(a, 516), Refusal(b, 516)), together=True, unsure=True
    )


def test_a_first_look_is_no_change() -> None:
    seen = [KnownNode("./AMI", "node"), KnownNode(WINDOW, "int", "1")]
    lesson = learn("D1", {}, seen, now=5.0, origin="device")
    assert [node.uri for node in lesson.kept] == ["./AMI", WINDOW]
    assert {node.at for node in lesson.kept} == {5.0}
    assert (lesson.gone, lesson.changes) == ((), ())


def test_a_later_look_tells_what_has_changed() -> None:
    refused = Setting(RETRIES, "int", "99")
    before = known(
        KnownNode("./AMI", "node"),
        KnownNode(WINDOW, "int", "1", refused=Setting(WINDOW, "int", "9"), status=500),
        KnownNode(RETRIES, "int", "3", refused=refused, status=500, bond=WINDOW),
        KnownNode("./AMI/Meters/8", "node"),
        KnownNode("./AMI/Meters/8/Serial", "chr", "A8"),
        KnownNode(SERIAL, ABSENT, refused=Setting(SERIAL, "chr", "?"), status=405),
    )
    seen = [
        KnownNode("./AMI", "node"),
        KnownNode(WINDOW, "int", "2"),
        KnownNode(RETRIES, "int", "3", acl="Get=*"),
        KnownNode("./AMI/Meters/9", "node"),
        KnownNode("./AMI/Meters/9/Serial", "chr", "A9"),
    ]
    lesson = learn("D1", before, seen, now=6.0, origin="device")
    kept = {node.uri: node for node in lesson.kept}
    assert set(kept) == {WINDOW, RETRIES, "./AMI/Meters/9", "./AMI/Meters/9/Serial"}
    assert kept[WINDOW].refused is None  # it has changed, so what was wrong may be right
    assert (kept[RETRIES].refused, kept[RETRIES].status) == (refused, 500)
    assert (kept[WINDOW].bond, kept[RETRIES].bond) == ("", WINDOW)
    assert set(lesson.gone) == {"./AMI/Meters/8", "./AMI/Meters/8/Serial"}
    assert set(lesson.changes) == {
        TreeChange("D1", WINDOW, "1", "2", 200, 6.0, "device"),
        TreeChange("D1", "./AMI/Meters/9/Serial", None, "A9", 200, 6.0, "device"),
        TreeChange("D1", "./AMI/Meters/8/Serial", "A8", None, 200, 6.0, "device"),
    }
    assert leaf(None) is None


def test_answers_change_what_is_known() -> None:
    before = known(
        KnownNode(WINDOW, "int", "1", "Get=*", 1.0, Setting(WINDOW, "int", "99"), 500),
        KnownNode(METER, "node"),
        KnownNode(SERIAL, "chr", "A1"),
    )
    done = settle(
        "D1",
        before,
        [
            Outcome(Setting(WINDOW, "int", "7"), 200, "group:all", pushed=True),
            Outcome(Setting(METER), 200, "job j1"),
            Outcome(Setting(RETRIES, "int", "3"), NO_ANSWER, "group:all", pushed=True),
        ],
        now=9.0,
    )
    assert done == Lesson(
        (KnownNode(WINDOW, "int", "7", "Get=*", 9.0),),
        (METER, SERIAL),
        (
            TreeChange("D1", WINDOW, "1", "7", 200, 9.0, "group:all"),
            TreeChange("D1", SERIAL, "A1", None, 200, 9.0, "job j1"),
        ),
        frozenset({"./AMI"}),
    )
    assert (
        settle(
            "D1", before, [Outcome(Setting(WINDOW, "int", "1"), 200, "x", pushed=True)], now=9.0
        ).changes
        == ()
    )


@pytest.mark.parametrize("status", [215, 216])
def test_what_was_not_done_because_of_others_is_not_known_as_done(status: int) -> None:
    before = known(KnownNode(WINDOW, "int", "1", "Get=*", 1.0))
    outcome = Outcome(Setting(WINDOW, "int", "7"), status, "job j1")
    lesson = settle("D1", before, [outcome], now=9.0)
    assert [node.value for node in lesson.kept] in ([], ["1"])
    assert [change.status for change in lesson.changes] == [status]


def test_refusals_of_wishes_are_remembered_and_those_of_jobs_are_told() -> None:
    there, away = Setting(RETRIES, "int", "99"), Setting(METER)
    before = known(KnownNode(RETRIES, "int", "3"))
    pushed = settle(
        "D1",
        before,
        [
            Outcome(there, 500, "device:D1", pushed=True),
            Outcome(away, 405, "device:D1", pushed=True),
        ],
        now=9.0,
    )
    assert pushed.kept == (
        KnownNode(RETRIES, "int", "3", refused=there, status=500, bond=RETRIES),
        KnownNode(METER, ABSENT, at=9.0, refused=away, status=405, bond=METER),
    )
    assert [(c.old, c.new, c.status) for c in pushed.changes] == [
        ("3", "99", 500),
        (None, None, 405),
    ]
    told = settle("D1", before, [Outcome(there, 500, "job j1")], now=9.0)
    assert (told.kept, told.touched, len(told.changes)) == ((), frozenset(), 1)
