"""The chain that the demo runs: two streets, two DCUs, a head-end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from openami.cli.api import PREFIX, Target, checked, connected
from openami.core.clock import isoformat

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.cli.demo.processes import Processes

ZONE: Final = "Asia/Seoul"
# A street's line, like an RS-485 bus with a good modem: fast enough that the line is not what the
# demo shows, slow and lossy enough that frames are lost and repeated.
LINE: Final = ("--bit-rate", "230400", "--delay", "0.001", "--loss", "0.002", "--seed", "7")
DRIFT_PPM: Final = 900.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How large the demo is and how fast its clock runs."""

    dcus: int
    meters: int
    clock: str
    since: float
    factor: float
    port: int

    @property
    def streets(self) -> list[int]:
        """How many meters each street has."""
        base, more = divmod(self.meters, self.dcus)
        return [base + (index < more) for index in range(self.dcus)]

    @property
    def load_period(self) -> int:
        """Seconds of the demo's clock between two readings: about 2.5 real ones, in whole periods."""
        return max(1, round(2.5 * self.factor / 900)) * 900


@dataclass(slots=True)
class Chain:
    """What runs, once it does."""

    plan: Plan
    state: Path
    processes: Processes
    say: Callable[[str], None]
    headend: dict[str, Any] = field(default_factory=dict)
    streets: list[dict[str, Any]] = field(default_factory=list)
    target: Target | None = None

    async def start(self) -> None:
        """Start everything; returns when the DCUs have begun.

        Raises:
            OpenAmiError: a process did not start.
        """
        await self._start_headend()
        await self._start_streets()
        await self._import_shipments()
        await self._start_dcus()

    async def _start_headend(self) -> None:
        self.say("head-end: making certificates, database, lake and an account")
        await self.processes.start(
            "headend", "headend", "run", "--json", "--state", str(self.state / "headend"),
            "--listen", f"127.0.0.1:{self.plan.port}", "--device-listen", "127.0.0.1:0",
            "--security-listen", "127.0.0.1:0",
            "--timezone", ZONE, "--clock", self.plan.clock, "--log-level", "warning",
            "--set", "compact_every_s=60",
        )  # fmt: skip
        self.headend = await self.processes.ready("headend")
        self.target = await self._login()

    async def _login(self) -> Target:
        """Return the head-end with a token of the first account."""
        url, ca = self.headend["console"], Path(self.headend["ca"])
        password = read(self.headend["admin_password"]).strip()
        async with connected(Target(url, None, ca)) as client:
            entered = checked(
                await client.post(
                    f"{PREFIX}/login", json_body={"name": "admin", "password": password}
                )
            ).json()
            made = checked(
                await client.post(
                    f"{PREFIX}/tokens",
                    json_body={"label": "demo", "days": 1},
                    headers={"X-CSRF-Token": entered["csrf_token"]},
                )
            ).json()
        return Target(url, made["token"], ca)

    async def _start_streets(self) -> None:
        first = 1
        for index, meters in enumerate(self.plan.streets):
            await self.processes.start(
                f"street-{index + 1}", "street", "run", "--json",
                "--state", str(self.state / f"street-{index + 1}"), "--meters", str(meters),
                "--first", str(first), "--modem", "127.0.0.1:0", "--maintenance", "127.0.0.1:0",
                "--zone", ZONE, "--drift-ppm", str(DRIFT_PPM), *LINE,
                "--since", isoformat(self.plan.since),
                "--clock", self.plan.clock, "--log-level", "warning",
            )  # fmt: skip
            first += meters
        for index, meters in enumerate(self.plan.streets):
            facts = await self.processes.ready(f"street-{index + 1}")
            self.streets.append(facts)
            self.say(
                f"street {index + 1}: {meters} meters on one HDLC line, modem {facts['modem']}"
            )

    async def _import_shipments(self) -> None:
        assert self.target is not None
        async with connected(self.target) as client:
            for facts in self.streets:
                checked(
                    await client.post(
                        f"{PREFIX}/shipments", content=read(facts["shipment"]).encode()
                    )
                )
        self.say(f"head-end: expects {self.plan.meters} meters, their keys are in its vault")

    async def _start_dcus(self) -> None:
        assert self.target is not None
        async with connected(self.target) as client:
            for index, facts in enumerate(self.streets):
                name = f"DCU-{index + 1}"
                made = checked(
                    await client.post(f"{PREFIX}/dcus", json_body={"dcu": name, "why": "demo"})
                ).json()
                folder = self.state / f"dcu-{index + 1}"
                _write_credentials(folder / "credentials", made)
                stations = facts["stations"]
                await self.processes.start(
                    f"dcu-{index + 1}", "dcu", "run", "--id", name,
                    "--modem", f"hdlc+tcp://{facts['modem']}",
                    "--addresses", f"{stations[0]}-{stations[-1]}",
                    "--headend", self.headend["devices"],
                    "--credentials", str(folder / "credentials"), "--state", str(folder / "state"),
                    "--clock", self.plan.clock, "--log-level", "warning", *self._dcu_settings(),
                )  # fmt: skip
                self.say(f"{name}: enrolled, looks for meters on its line")

    def _dcu_settings(self) -> list[str]:
        """Return what a DCU does otherwise because a day passes in minutes."""
        # A real millisecond is about a second of the demo's: a clock that is set over the line is
        # some ten seconds wrong, so smaller offsets are left alone.
        threshold = max(10.0, 0.15 * self.plan.factor)
        margin = min(max(15.0, 0.1 * self.plan.factor), self.plan.load_period / 5)
        values = {
            "load_period_s": self.plan.load_period,
            "log_period_s": 6 * 3600,
            "settle_s": max(20.0, 0.1 * self.plan.factor),
            "spread_s": self.plan.load_period / 6,
            "timezone": ZONE,
            "clock_threshold_s": threshold,
            "clock_margin_s": min(margin, 150.0),
            "report_every_s": 2,
            "batch_age_s": 0.5,
            "backoff_first_s": 1,
            "backoff_most_s": 10,
            "retry_most_s": 5,
            "response_timeout_s": 0.5,
            "probe_timeout_s": 0.5,
            "probe_rest_s": 5,
        }
        return [part for name, value in values.items() for part in ("--set", f"{name}={value}")]


def read(path: str) -> str:
    """Return the text of a small file of the demo's own."""
    return Path(path).read_text("utf-8")


def _write_credentials(folder: Path, made: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("certificate", "authority", "key"):
        path = folder / f"{name}.pem"
        path.touch(mode=0o600)
        path.write_text(made[name], "utf-8")
