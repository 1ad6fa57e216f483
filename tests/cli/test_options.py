"""Every option of the commands that run or reach a meter ends in the settings it is meant for."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager, closing
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import pytest
from tests.support.dcu_other import OtherLine, Rows, other_meter, profile
from tests.support.dlms_meter import NOON, config_of
from tests.transport.certificates import Authority

from openami.cli.main import cli, main
from openami.cli.meter_access import COUNTER, DEFAULT_TITLE
from openami.cli.profile import LAST_TIME, Wanted, read_profile
from openami.core.identifiers import SystemTitle
from openami.core.obis import Obis
from openami.dlms import data as d
from openami.dlms.apdu.acse import Mechanism
from openami.dlms.client import SecurityLevel
from openami.dlms.datetime import NO_DEVIATION, CosemDateTime
from openami.dlms.references import EntrySelection, RangeSelection
from openami.meter.line import LineSpec
from openami.meter.measuring import MEMORY_FILE
from openami.meter.sources import parse_source
from openami.metrology.measured import MeasuredSource
from openami.store.measuring import PartMemory
from openami.transport.c1222 import NodeUrl
from openami.transport.clock import speed_of
from openami.transport.session import open_session
from openami.transport.url import MeterUrl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from openami.dlms.client import ClientConfig
    from openami.dlms.references import AttributeRef
    from openami.metrology.config import Grid


class Row(NamedTuple):
    """What one option is given, where its value shows, what that is then, and without it."""

    given: str
    place: Callable[[Any], Any]
    expected: Any
    default: Any


def options_of(*path: str) -> set[str]:
    """Return the names of a command's options."""
    command: click.Command | None = cli
    with click.Context(cli) as context:
        for name in path:
            assert isinstance(command, click.Group)
            command = command.get_command(context, name)
    assert command is not None
    return {str(p.name) for p in command.params if isinstance(p, click.Option)}


# Servers: `openami meter run` and `openami street run`.


class Started(NamedTuple):
    """What a server would have run with."""

    settings: Any
    log_level: str
    as_json: bool


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Started]:
    """Give a function that types a command and returns what it would have run."""
    caught: dict[str, Any] = {}

    def run(settings: Any, *, ready: Any) -> None:
        caught.update(settings=settings, as_json=ready.keywords["as_json"])

    def run_server(_: Any, *, log_level: str) -> None:
        caught["log_level"] = log_level

    monkeypatch.delenv("OPENAMI_LOG_LEVEL", raising=False)
    monkeypatch.setattr("openami.meter.run.run_meter", run)
    monkeypatch.setattr("openami.meter.street.run_street", run)
    monkeypatch.setattr("openami.meter.measuring.run_measuring", run)
    monkeypatch.setattr("openami.cli.run.run_server", run_server)

    def typed(command: str, given: str = "") -> Started:
        if "{tmp}/node.pem" in given:
            Authority(tmp_path).issue("node")
        words = f"{command} {given}".format(tmp=tmp_path).split()
        assert main(words) == 0
        return Started(**caught)

    return typed


def first(started: Started) -> Any:
    """Return the settings of a street's first meter."""
    return started.settings.meters[0].config


FIVE_WATTS = parse_source("constant:5")

NODE = "--c1222 [::1]:5 "
PAIR = "--c1222-certificate {tmp}/node.pem --c1222-certificate-key {tmp}/node.key"


def node_of(started: Started, *path: str, none: Any = None) -> Any:
    """Return how a meter speaks C12.22, or ``none`` if it does not."""
    found = started.settings.c1222
    return none if found is None else attrgetter(".".join(path))(found)


def trusted(started: Started) -> int | None:
    """Return how many authorities a meter's registrar may have; None: it has none in TLS."""
    context = node_of(started, "sockets", "dial_tls")
    return None if context is None else len(context.get_ca_certs())


METER = "meter run --state {tmp}/state --number 1"
METER_OPTIONS: Mapping[str, Row] = {
    "wrapper": Row(
        "--wrapper [::1]:1 --wrapper h:2",
        lambda s: s.settings.wrapper,
        (("::1", 1), ("h", 2)),
        (("127.0.0.1", 4059),),
    ),
    "hdlc": Row("--hdlc h:3 --hdlc i:4", lambda s: s.settings.hdlc, (("h", 3), ("i", 4)), ()),
    "serial": Row("--serial /dev/a --serial b", lambda s: s.settings.serial, ("/dev/a", "b"), ()),
    "pty": Row("--pty", lambda s: s.settings.pty, True, False),
    "home": Row("--home h:9", lambda s: s.settings.home, ("h", 9), None),
    "baud": Row("--baud 19200", lambda s: s.settings.baud, 19200, 9600),
    "c1222": Row(
        "--c1222 [::1]:5 --c1222 h:6", lambda s: node_of(s, "listen"), (("::1", 5), ("h", 6)), None
    ),
    "c1222_register": Row(
        "--c1222-register c1222+udp://h:7?node=.123.9",
        lambda s: node_of(s, "register"),
        NodeUrl.parse("c1222+udp://h:7?node=.123.9"),
        None,
    ),
    "c1222_least": Row(NODE + "--c1222-least 2", lambda s: node_of(s, "least", none=0), 2, 0),
    "c1222_multicast": Row(
        NODE + "--c1222-multicast",
        lambda s: node_of(s, "sockets", "multicast", none=False),
        True,
        False,
    ),
    "c1218": Row("--c1218 /dev/a", lambda s: node_of(s, "lines"), ("/dev/a",), None),
    "c1221": Row("--c1218 /dev/a --c1221 5", lambda s: node_of(s, "number", none=0), 5, 0),
    "c1222_certificate": Row(
        NODE + PAIR, lambda s: node_of(s, "sockets", "tls") is not None, True, False
    ),
    "c1222_certificate_key": Row(
        NODE + PAIR, lambda s: node_of(s, "sockets", "dtls") is not None, True, False
    ),
    "c1222_ca": Row(
        f"--c1222-register c1222+tls://h:7 --c1222-ca {{tmp}}/authority.pem {PAIR}",
        trusted,
        1,
        None,
    ),
    "state": Row("--state {tmp}/other", lambda s: s.settings.state.name, "other", "state"),
    "source": Row("--source constant:5", lambda s: s.settings.source == FIVE_WATTS, True, False),
    "adc": Row(
        "--adc paper", lambda s: isinstance(s.settings.source.source, MeasuredSource), True, False
    ),
    "metrology": Row(
        "--metrology tcp:[::1]:5",
        lambda s: getattr(s.settings.source, "line", None),
        LineSpec("tcp", "::1", 5),
        None,
    ),
    "metrology_part": Row(
        "--metrology serial:/dev/a --metrology-part 77",
        lambda s: getattr(s.settings.source, "accept", None),
        77,
        None,
    ),
    "phases": Row("--phases 3", lambda s: s.settings.config.identity.phases, 3, 1),
    "number": Row(
        "--number 7", lambda s: s.settings.config.identity.serial, "OAM00000007", "OAM00000001"
    ),
    "address": Row("--address 99", lambda s: s.settings.config.identity.address, 99, 17),
    "zone": Row("--zone UTC+01:00", lambda s: s.settings.config.zone.offset(0), 3600, 9 * 3600),
    "grid": Row(
        "--grid 220/60", lambda s: tuple(s.settings.config.grid), (220_000, 6000), (230_000, 5000)
    ),
    "public_access": Row(
        "--public-access full", lambda s: s.settings.config.public_reads, True, False
    ),
    "drift_ppm": Row("--drift-ppm 3.5", lambda s: s.settings.config.drift_ppm, 3.5, 0.0),
    "maker_key": Row("--maker-key {tmp}/maker.pem", lambda s: bool(s.settings.maker), True, False),
    "restart": Row("--restart 61", lambda s: s.settings.config.restart_s, 61.0, 5.0),
    "persist": Row("--persist 61", lambda s: s.settings.config.persist_s, 61.0, 10.0),
    "since": Row("--since 1970-01-02", lambda s: s.settings.config.started, 86400.0, None),
    "clock": Row("--clock 2026-01-01T00:00Z,60", lambda s: speed_of(s.settings.clock), 60.0, 1.0),
    "log_level": Row("--log-level error", lambda s: s.log_level, "error", "info"),
    "as_json": Row("--json", lambda s: s.as_json, True, False),
}

STREET = "street run --state {tmp}/state --meters 2"
STREET_OPTIONS: Mapping[str, Row] = {
    "state": Row("--state {tmp}/other", lambda s: s.settings.state.name, "other", "state"),
    "grid": Row("--grid 220/60", lambda s: tuple(first(s).grid), (220_000, 6000), (230_000, 5000)),
    "meters": Row("--meters 3", lambda s: len(s.settings.meters), 3, 2),
    "first": Row("--first 7", lambda s: first(s).identity.serial, "OAM00000007", "OAM00000001"),
    "three_phase_every": Row(
        "--three-phase-every 2",
        lambda s: [one.config.identity.phases for one in s.settings.meters],
        [1, 3],
        [1, 1],
    ),
    "modem": Row("--modem h:1", lambda s: s.settings.modem, ("h", 1), ("127.0.0.1", 4060)),
    "serial": Row(
        "--serial /dev/a",
        lambda s: (s.settings.modem, s.settings.serial),
        (None, "/dev/a"),
        (("127.0.0.1", 4060), None),
    ),
    "pty": Row(
        "--pty",
        lambda s: (s.settings.modem, s.settings.pty),
        (None, True),
        (("127.0.0.1", 4060), False),
    ),
    "baud": Row("--baud 19200", lambda s: s.settings.baud, 19200, 9600),
    "maintenance": Row("--maintenance h:2", lambda s: s.settings.maintenance, ("h", 2), None),
    "source": Row(
        "--source constant:5",
        lambda s: [one.source == FIVE_WATTS for one in s.settings.meters],
        [True, True],
        [False, False],
    ),
    "adc": Row(
        "--adc paper",
        lambda s: isinstance(s.settings.meters[1].source.source, MeasuredSource),
        True,
        False,
    ),
    "zone": Row("--zone UTC+01:00", lambda s: first(s).zone.offset(0), 3600, 9 * 3600),
    "drift_ppm": Row("--drift-ppm 3.5", lambda s: first(s).drift_ppm, -3.5, 0.0),
    "bit_rate": Row("--bit-rate 1200", lambda s: s.settings.line.bit_rate, 1200.0, math.inf),
    "delay": Row("--delay 0.25", lambda s: s.settings.line.propagation_s, 0.25, 0.0),
    "loss": Row("--loss 0.5", lambda s: s.settings.line.loss, 0.5, 0.0),
    "duplication": Row("--duplication 0.5", lambda s: s.settings.line.duplication, 0.5, 0.0),
    "corruption": Row("--corruption 0.5", lambda s: s.settings.line.corruption, 0.5, 0.0),
    "maker_key": Row("--maker-key {tmp}/maker.pem", lambda s: bool(s.settings.maker), True, False),
    "restart": Row("--restart 61", lambda s: first(s).restart_s, 61.0, 5.0),
    "seed": Row("--seed 5", lambda s: s.settings.seed, 5, 0),
    "since": Row("--since 1970-01-02", lambda s: first(s).started, 86400.0, None),
    "clock": Row("--clock 2026-01-01T00:00Z,60", lambda s: speed_of(s.settings.clock), 60.0, 1.0),
    "log_level": Row("--log-level error", lambda s: s.log_level, "error", "info"),
    "as_json": Row("--json", lambda s: s.as_json, True, False),
}


PART = "metrology run --state {tmp}/state"
PART_OPTIONS: Mapping[str, Row] = {
    "state": Row("--state {tmp}/other", lambda s: s.settings.state.name, "other", "state"),
    "source": Row("--source constant:5", lambda s: s.settings.source == FIVE_WATTS, True, False),
    "adc": Row("--adc paper", lambda s: s.settings.front.name, "paper", "sigma-delta"),
    "line": Row(
        "--line serial:/dev/a,9600",
        lambda s: s.settings.line,
        LineSpec("serial", "/dev/a", 9600),
        LineSpec("pty"),
    ),
    "phases": Row("--phases 3", lambda s: s.settings.phases, 3, 1),
    "grid": Row(
        "--grid 220/60",
        lambda s: (s.settings.front.voltage, s.settings.front.frequency),
        (220.0, 60),
        (230.0, 50),
    ),
    "clock": Row("--clock 2026-01-01T00:00Z,60", lambda s: speed_of(s.settings.clock), 60.0, 1.0),
    "log_level": Row("--log-level error", lambda s: s.log_level, "error", "info"),
    "as_json": Row("--json", lambda s: s.as_json, True, False),
}


@pytest.mark.parametrize("option", PART_OPTIONS)
def test_an_option_of_metrology_run_sets_up_the_part(
    option: str, start: Callable[..., Started]
) -> None:
    row = PART_OPTIONS[option]
    assert row.place(start(PART, row.given)) == row.expected


@pytest.mark.parametrize(
    "given",
    [
        "--metrology h:5", "--metrology tcp:h", "--metrology tcp:h:99999", "--metrology pty",
        "--metrology serial:", "--metrology serial:a,fast", "--metrology tcp:h:5 --adc paper",
        "--metrology tcp:h:5 --since 2026-01-01",
    ],
)  # fmt: skip
def test_a_line_that_is_none_is_refused(
    given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*METER.format(tmp=tmp_path).split(), *given.split()]) == 2
    assert "error[config" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("option", METER_OPTIONS)
def test_an_option_of_meter_run_sets_up_the_meter(
    option: str, start: Callable[..., Started]
) -> None:
    row = METER_OPTIONS[option]
    assert row.place(start(METER, row.given)) == row.expected


@pytest.mark.parametrize("option", STREET_OPTIONS)
def test_an_option_of_street_run_sets_up_the_street(
    option: str, start: Callable[..., Started]
) -> None:
    row = STREET_OPTIONS[option]
    assert row.place(start(STREET, row.given)) == row.expected


@pytest.mark.parametrize(
    ("command", "table"), [(METER, METER_OPTIONS), (STREET, STREET_OPTIONS), (PART, PART_OPTIONS)]
)
def test_a_server_without_options_has_the_defaults(
    command: str, table: Mapping[str, Row], start: Callable[..., Started]
) -> None:
    plain = start(command)
    assert {name: row.place(plain) for name, row in table.items()} == {
        name: row.default for name, row in table.items()
    }


def test_a_part_keeps_the_grid_that_it_is_made_for(
    start: Callable[..., Started], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state").mkdir()
    with closing(PartMemory(tmp_path / "state" / MEMORY_FILE)) as memory:
        memory.keep("paper-100a", b"", "120/60")
    front = start(PART).settings.front
    assert (front.name, front.voltage, front.frequency) == ("sigma-delta", 120.0, 60)
    assert main([*PART.format(tmp=tmp_path).split(), "--grid", "220/60"]) == 2
    assert "made for 120/60" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "made_for"),
    [
        (METER, lambda s: s.settings.config.grid),
        (STREET, lambda s: {one.config.grid for one in s.settings.meters}.pop()),
    ],
)
def test_a_meter_keeps_the_grid_that_it_is_made_for(
    command: str,
    made_for: Callable[[Started], Grid],
    start: Callable[..., Started],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    start(command, "--grid 220/60")
    for again in ("", "--grid 220/60"):
        assert str(made_for(start(command, again))) == "220/60"
    assert main([*command.format(tmp=tmp_path).split(), "--grid", "230/50"]) == 2
    told = capsys.readouterr().err
    assert "error[config.grid]" in told
    assert "made for 220/60" in told
    assert str(made_for(start(command))) == "220/60"  # a refused option changed nothing
    assert main(["meter", "label", "--state", str(tmp_path / "state")]) == 0
    assert " 220/60 " in capsys.readouterr().out


# Clients: `openami read` and `openami scan`.

KEYS = {"guek": bytes(range(16)), "gak": bytes(range(16, 32))}
OTHER = bytes(range(32, 48))
SEEN = 41
PROFILE = "1.0.99.1.0.255"


class Opened(NamedTuple):
    """What a client would have done: what it asks for the counter, and how it associates."""

    asked: AttributeRef | None
    patience: tuple[float, ...]
    url: MeterUrl
    config: ClientConfig
    wanted: Wanted | None
    out: str


class Meter:
    """Stands for an association: a counter for who asks, and an empty object list."""

    def __init__(self) -> None:
        self.asked: AttributeRef | None = None

    async def get(self, ref: AttributeRef) -> d.Data:
        if ref.class_id == 1:
            self.asked = ref
            return d.u32(SEEN)
        return d.array()


@pytest.fixture
def ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Opened]:
    """Give a function that types a command and returns how it would have associated."""
    opened: list[tuple[MeterUrl, ClientConfig]] = []
    profiles: list[Wanted] = []
    meter = Meter()

    @asynccontextmanager
    async def opening(url: MeterUrl, config: ClientConfig, **_: Any) -> AsyncIterator[Meter]:
        opened.append((url, config))
        yield meter

    async def reading(_: Meter, wanted: Wanted) -> Sequence[dict[str, Any]]:
        profiles.append(wanted)
        return [{"clock": "now"}]

    for name in ("CLIENT", "AUTH", "GUEK", "GAK", "DEDICATED", "GBEK", "METER_PASSWORD"):
        monkeypatch.delenv(f"OPENAMI_{name}", raising=False)
    monkeypatch.setattr("openami.transport.session.open_session", opening)
    monkeypatch.setattr("openami.cli.profile.read_profile", reading)
    lines = [*(f'{name} = "{key.hex()}"' for name, key in KEYS.items()), 'password = "filed"']
    (tmp_path / "keys.toml").write_text("\n".join(lines))
    (tmp_path / "other.toml").write_text(lines[1] + f'\nguek = "{OTHER.hex()}"\n')
    (tmp_path / "password").write_text("secret\n")

    def typed(command: str, given: str = "") -> Opened:
        assert main(f"{command} {given}".format(tmp=tmp_path).split()) == 0
        out = capsys.readouterr().out
        patience = tuple(config.timeout for _, config in opened)
        return Opened(meter.asked, patience, *opened[-1], profiles[-1] if profiles else None, out)

    return typed


CIPHERED = "--auth hls5-gmac --key-file {tmp}/keys.toml"
READ = f"read dlms+tcp://h {CIPHERED} --profile {PROFILE}"
SCAN = f"scan dlms+tcp://h {CIPHERED}"

ACCESS_OPTIONS: Mapping[str, Row] = {
    "client": Row("--client 7", lambda o: o.url.client, 7, 16),
    "auth": Row("--auth lls", lambda o: o.config.mechanism, Mechanism.LLS, Mechanism.HLS_GMAC),
    "security": Row(
        "--security encryption",
        lambda o: o.config.security,
        SecurityLevel.ENCRYPTION,
        SecurityLevel.BOTH,
    ),
    "keys": Row(f"--key gak={OTHER.hex()}", lambda o: o.config.keys.gak, OTHER, KEYS["gak"]),
    "key_file": Row(
        "--key-file {tmp}/other.toml", lambda o: o.config.keys.guek, OTHER, KEYS["guek"]
    ),
    "password_file": Row(
        "--password-file {tmp}/password", lambda o: o.config.secret, b"secret", b"filed"
    ),
    "title": Row(
        "--title 4142430000000001",
        lambda o: o.config.title,
        SystemTitle.of("ABC", 1),
        DEFAULT_TITLE,
    ),
    "server_title": Row(
        "--server-title 4142430000000002",
        lambda o: o.config.server_title,
        SystemTitle.of("ABC", 2),
        None,
    ),
    "dedicated": Row("--dedicated", lambda o: o.config.dedicated, True, False),
    "general": Row("--general", lambda o: o.config.general, True, False),
    "counter": Row(
        "--counter 9",
        lambda o: (o.asked is None, o.config.invocation_counter),
        (True, 9),
        (False, SEEN + 1),
    ),
    "counter_name": Row(
        "--counter-name 0.0.43.1.9.255",
        lambda o: o.asked.obis,
        Obis.parse("0.0.43.1.9.255"),
        Obis.parse(COUNTER),
    ),
    "timeout": Row("--timeout 3", lambda o: o.patience, (3.0, 3.0), (30.0, 30.0)),
}

SCAN_OPTIONS: Mapping[str, Row] = {
    **ACCESS_OPTIONS,
    "as_json": Row("--json", lambda o: o.out.strip() == "[]", True, False),
}


def since(start: float, end: float) -> RangeSelection:
    return RangeSelection.of_times(CosemDateTime.from_utc(start, 0), CosemDateTime.from_utc(end, 0))


READ_OPTIONS: Mapping[str, Row] = {
    **ACCESS_OPTIONS,
    "profile": Row(
        "--profile 1.0.99.2.0.255",
        lambda o: o.wanted.obis,
        Obis.parse("1.0.99.2.0.255"),
        Obis.parse(PROFILE),
    ),
    "start": Row("--from 1970-01-02", lambda o: o.wanted.selection, since(86400, LAST_TIME), None),
    "end": Row("--to 1970-01-03", lambda o: o.wanted.selection, since(0, 2 * 86400), None),
    "entries": Row("--entries 2:5", lambda o: o.wanted.selection, EntrySelection(2, 5), None),
    "deviation": Row("--deviation -540", lambda o: o.wanted.deviation, -540, None),
    "as_json": Row("--json", lambda o: o.out.startswith("{"), True, False),
}


@pytest.mark.parametrize("option", READ_OPTIONS)
def test_an_option_of_read_decides_how_a_meter_is_asked(
    option: str, ask: Callable[..., Opened]
) -> None:
    row = READ_OPTIONS[option]
    assert row.place(ask(READ, row.given)) == row.expected


@pytest.mark.parametrize("option", SCAN_OPTIONS)
def test_an_option_of_scan_decides_how_a_meter_is_asked(
    option: str, ask: Callable[..., Opened]
) -> None:
    row = SCAN_OPTIONS[option]
    assert row.place(ask(SCAN, row.given)) == row.expected


@pytest.mark.parametrize(("command", "table"), [(READ, READ_OPTIONS), (SCAN, SCAN_OPTIONS)])
def test_a_client_without_options_has_the_defaults(
    command: str, table: Mapping[str, Row], ask: Callable[..., Opened]
) -> None:
    plain = ask(command)
    assert {name: row.place(plain) for name, row in table.items()} == {
        name: row.default for name, row in table.items()
    }


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("meter run", METER_OPTIONS),
        ("street run", STREET_OPTIONS),
        ("read", READ_OPTIONS),
        ("scan", SCAN_OPTIONS),
    ],
)
def test_the_tables_have_every_option(path: str, table: Mapping[str, Row]) -> None:
    assert options_of(*path.split()) == set(table)


async def test_a_deviation_tells_the_times_of_a_meter_that_keeps_it_to_itself() -> None:
    """Local noon in Korea is 03:00 UTC; without a deviation nobody can know."""
    name = "1.0.99.5.0.255"
    local = CosemDateTime(2026, 1, 5, 1, 12, 0, 0, 0, NO_DEVIATION, 0)
    source = Rows()
    source.append(NOON, [d.octets(local.encode()).encode()])
    client, config = config_of("lls")
    found = []
    async with OtherLine(at17=other_meter(profile(name, source))) as line:
        url = f"hdlc+tcp://127.0.0.1:{line.port}?server=1:17&address_size=4&client={client}"
        async with open_session(MeterUrl.parse(url), config) as session:
            for deviation in (None, -540):
                wanted = Wanted.of(name, start=None, end=None, entries=None, deviation=deviation)
                found += await read_profile(session, wanted)
    assert found == [{"clock": None}, {"clock": "2026-01-05T03:00:00Z"}]


def test_a_setting_that_has_an_option_too_can_be_set_either_way() -> None:
    from openami.cli.headend import load

    assert load(None, ("listen=127.0.0.1:1",), listen=None).listen == "127.0.0.1:1"
    assert load(None, ("listen=127.0.0.1:1",), listen="127.0.0.1:2").listen == "127.0.0.1:2"
