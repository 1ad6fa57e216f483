"""A meter: measurement, objects and memory put together."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from openami.core.errors import OpenAmiError, StoreError
from openami.core.obis import Obis
from openami.dlms.cosem import LOCAL, ActionError, Command
from openami.dlms.server import FailureThrottle
from openami.meter.calendar import ScheduleWatch
from openami.meter.counters import AssociationCounters, OwnCounter
from openami.meter.factory import new_board
from openami.meter.home.desk import desk_of
from openami.meter.inflow import inflow_of
from openami.meter.kept import Kept, decode, encode
from openami.meter.limiting import follow_limit
from openami.meter.logical import MeterDevice
from openami.meter.management import Management, Times
from openami.meter.objects import Hooks
from openami.meter.objects.control import DISCONNECT, IMAGE_SCRIPT
from openami.meter.objects.rights import rights
from openami.meter.restoring import restore_settings
from openami.metrology.clock import SECOND, micros
from openami.metrology.engine import MeterEngine
from openami.metrology.events import LOGS, Alarm, Event, Ring
from openami.metrology.memory import MeterCommit
from openami.metrology.zone import DAY
from openami.transport.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from openami.dlms.cosem import ImageStore, ScriptRef, SecurityState
    from openami.dlms.cosem.response import Standing
    from openami.dlms.data import Data
    from openami.dlms.references import AttributeRef
    from openami.meter.apart import Apart
    from openami.meter.board import Board
    from openami.meter.kept import C1222Record
    from openami.meter.loader import Application, Start
    from openami.meter.objects import ObjectModel, Running
    from openami.meter.settings import MeterConfig
    from openami.metrology.energy import Channel
    from openami.metrology.memory import MeterMemory
    from openami.metrology.sources import Source

SETTABLE_CLASSES: Final = frozenset({18, 22, 23, 41, 70, 71})
"""Classes whose attributes, once written, are kept as they were written."""

REPEAT_S: Final = 60
"""Seconds of the meter's clock within which an event of the same kind is written down once: who
floods a meter with wrong passwords neither empties its logs nor wears out its memory."""

_MESSAGES: Final = Obis.parse("0.0.96.13.0.255").raw[:4]
SETTING_OCTETS: Final = 4096  # of one written attribute: a schedule of 96 executions has 2 KiB


class Meter:
    """One meter. It does nothing by itself: call ``tick``, or what that does.

    Args:
        config: who it is and how it is set up.
        memory: its non-volatile memory; what it holds of this meter is taken up.
        source: what flows through it, or a measuring part that is apart.
        clock: tells the world's time in UTC seconds.
        board: its flash, with the firmware; without one it has one in memory, new.
        ticks: tells seconds that never jump.

    Raises:
        StoreError: the memory cannot be read, or what it holds is damaged.
        ConfigError: the settings do not fit together.
        SecurityError: no firmware in the flash verifies and starts.
    """

    def __init__(
        self,
        config: MeterConfig,
        *,
        memory: MeterMemory,
        source: Source | Apart,
        clock: Callable[[], float],
        board: Board | None = None,
        ticks: Callable[[], float] = monotonic,
    ) -> None:
        self.config = config
        self._inflow = inflow_of(source)
        self.throttle = FailureThrottle()
        self._memory = memory
        self._clock = clock
        self._urgent = False
        self._noted: dict[Event, int] = {}
        self._factory = config.identity.keys.master
        self.engine, self._kept = self._load(clock())
        self._kept.converter = self._inflow.fit(self.engine, self._kept.converter)
        self._secrets = self._kept.secrets(self._factory)
        self._committed_at = self.engine.state.world
        self._own = OwnCounter(self._kept.counter, self.commit)
        management, reader, broadcast = self._kept.accepted
        key = self._kept.security.keys.guek or b""
        self._manager = AssociationCounters(self._own, key, management)
        self._reader = AssociationCounters(self._own, key, reader)
        key = self._kept.security.keys.gbek or b""
        self._broadcast = AssociationCounters(self._own, key, broadcast)
        self.home = desk_of(self, self._kept.home)
        self.application: Application
        self.model: ObjectModel
        self.device: MeterDevice
        self.management = Management(
            self,
            config.identity,
            new_board() if board is None else board,
            record=self._kept.upgrade,
            times=Times(config.restart_s, config.check_s, ticks),
        )
        self.management.power_up()
        self.home.start()

    def _load(self, now: float) -> tuple[MeterEngine, Kept]:
        config = self.config.engine()
        image = self._memory.load(self.serial)
        if image is None:
            began = self.config.started
            start = now if began is None else min(began, now)
            return MeterEngine.create(config, start), Kept.new(self.config.identity.keys)
        state, kept = decode(image.snapshot, self._factory)
        engine = MeterEngine.restore(config, state, image.rows)
        self._inflow.resume(engine, kept.taken, now)
        return engine, kept

    def install(
        self, start: Start, running: Running, images: ImageStore, *, on_trial: bool
    ) -> Application:
        """Start an application, and put its objects in the place of those before.

        Args:
            start: the application's entry.
            running: what it is.
            images: takes the next image.
            on_trial: what clients have set and it does not take is kept for the one before.

        Raises:
            Exception: whatever the application raises; the objects before stay.
        """
        application = start(self._hooks(running, images))
        model = application.model
        device = MeterDevice(self, model)
        if restore_settings(model, self._kept.settings, forget=not on_trial):
            self.engine.record(Event.PARAMETERS_CHANGED)
        self.application, self.model, self.device = application, model, device
        self._disconnects = ScheduleWatch(model.disconnect_schedule)
        self._activations = ScheduleWatch(model.image_schedule)
        self._follow_schedules()  # what comes from now on is for these
        return application

    def _hooks(self, running: Running, images: ImageStore) -> Hooks:
        return Hooks(
            config=self.config,
            engine=self.engine,
            access=rights(public=self.config.public_reads),
            management=self._manager,
            reader=self._reader,
            broadcast=self._broadcast,
            security=self._kept.security,
            password=self._kept.password,
            keep_security=self._keep_security,
            keep_password=self._keep_password,
            running=running,
            images=images,
            refusal=lambda: self.refusal,
            trial=lambda: self.management.trial,
            standing=self._kept.standing,
            keep_standing=self._keep_standing,
            tripped=self._kept.tripped,
            home=self.home,
        )

    @property
    def serial(self) -> str:
        """The serial number."""
        return self.config.identity.serial

    @property
    def c1222(self) -> C1222Record:
        """What it must not forget of C12.22: it is kept with the next commit."""
        return self._kept.c1222

    @property
    def refusal(self) -> str:
        """Why the last image is not in service, by the error's code; empty if nothing failed."""
        return self._kept.upgrade.refusal

    @property
    def station(self) -> int:
        """The HDLC station address in force."""
        return self.model.hdlc.device_address

    def captured(self, channel: Channel) -> int:
        """Return what the load profile's rows since the meter's birth add up to, in Wh."""
        return self.engine.state.base.whole(channel)

    # Time passes.

    def tick(self, now: float) -> None:
        """Measure up to ``now``, let management go on, and commit what must be committed.

        Raises:
            StoreError: it could not be; the meter goes on, and tries again at the next call.
        """
        self.measure(now)
        self.management.step()
        if self.due:
            self.commit()

    def refresh(self) -> None:
        """Do what ``tick`` does, at the present time."""
        self.tick(self._clock())

    def measure(self, now: float) -> None:
        """Measure up to ``now``, and do what limit and schedules want; commits nothing."""
        self._inflow.advance(self.engine, now)
        with suppress(StoreError), self.guarded():  # told already
            follow_limit(self.engine, self.model, self._kept)
            self._follow_schedules()

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Give over to the application.

        Raises:
            StoreError: it failed, and is restarted (``firmware.application``).
        """
        try:
            yield
        except OpenAmiError:
            raise
        except (Exception, SystemExit) as error:
            self.management.failed(error)
            raise StoreError("the application failed", code="firmware.application") from error

    def _follow_schedules(self) -> None:
        for schedule, watch, act in (
            (self.model.disconnect_schedule, self._disconnects, self._switch),
            (self.model.image_schedule, self._activations, self._activate),
        ):
            if schedule.executions:
                local = self.engine.state.zone.local(self.engine.seconds)
                if watch.due(local, self.engine.state.counts.clock_sets):
                    act(schedule.script)

    def _switch(self, script: ScriptRef) -> None:
        cut = script.selector == DISCONNECT
        command = Command.REMOTE_DISCONNECT if cut else Command.REMOTE_RECONNECT
        self.model.disconnector.command(command)

    def _activate(self, script: ScriptRef) -> None:
        if script == IMAGE_SCRIPT:
            with suppress(ActionError):  # its status tells
                self.model.images.activate(None, LOCAL)

    # Memory.

    @property
    def due(self) -> bool:
        """Tell whether something must be committed now."""
        passed = self.engine.state.world - self._committed_at
        late = passed >= micros(self.config.persist_s) or passed < 0
        return self._urgent or late or self.engine.rows.dirty

    def change(self) -> MeterCommit:
        """Return all that a commit must hold."""
        rows = self.engine.rows
        own, manager, reader = self._own.limit, self._manager.accepted, self._reader.accepted
        counters = (own, manager, reader, self._broadcast.accepted)
        self._kept.taken = self._inflow.taken
        self._kept.home = self.home.record
        snapshot = encode(self.engine.dump(), self._kept, self._secrets, counters)
        return MeterCommit(self.serial, snapshot, rows.pending, rows.firsts)

    def committed(self) -> None:
        """Take note that what ``change`` returned is durable."""
        self.engine.rows.committed()
        self._inflow.committed()
        self._committed_at = self.engine.state.world
        self._urgent = False

    def commit(self) -> None:
        """Commit now.

        Raises:
            StoreError: nothing was committed.
        """
        try:
            self._memory.commit([self.change()])
        except StoreError:
            self.engine.state.alarms |= Alarm.MEMORY_ERROR
            raise
        self.committed()

    def stop(self, now: float) -> None:
        """Measure up to ``now`` and commit before the power goes in good order.

        Raises:
            StoreError: nothing was committed.
        """
        self.measure(now)
        self._own.give_back()
        self.home.give_back()
        self.commit()

    @property
    def urgent(self) -> bool:
        """Tell whether a client must not be answered before the next commit."""
        return self._urgent

    def opened(self) -> None:
        """Take note of what must be kept before a client is answered, as counters are."""
        self._urgent = True

    def note(self, event: Event) -> None:
        """Write down what a client did, the same event once a minute."""
        engine = self.engine
        last = self._noted.get(event)
        if last is not None and 0 <= engine.seconds - last < REPEAT_S:
            return
        self._noted[event] = engine.seconds
        if LOGS[event] is Ring.SECURITY_LOG:
            engine.state.alarms |= Alarm.AUTHENTICATION_FAILURE
        engine.record(event)

    def _keep_security(self, state: SecurityState) -> None:
        old, renewed = self._kept.security, state.keys.guek != self._kept.security.keys.guek
        lenient = self.config.plain_management  # then the policy in force is not the meter's own
        self._kept.security = replace(state, policy=old.policy) if lenient else state
        self._secrets = self._kept.secrets(self._factory)
        try:
            self.engine.record(Event.KEYS_CHANGED)
            self.commit()
        except StoreError:
            self._kept.security = old
            self._secrets = self._kept.secrets(self._factory)
            raise
        self.model.reader.state = replace(self.model.reader.state, keys=state.keys)
        if renewed and state.keys.guek is not None:
            self._reader.renew(state.keys.guek)
        broadcast, key = self.model.broadcast, state.keys.gbek
        if broadcast is not None and key is not None and key != old.keys.gbek:
            broadcast.state = replace(broadcast.state, keys=replace(broadcast.keys, gbek=key))
            self._broadcast.renew(key)
        self._urgent = True  # what is accepted with the new keys begins anew after this

    def _keep_password(self, password: bytes) -> None:
        old, self._kept.password = self._kept.password, password
        self._secrets = self._kept.secrets(self._factory)
        try:
            self.engine.record(Event.KEYS_CHANGED)
            self.commit()
        except StoreError:
            self._kept.password = old
            self._secrets = self._kept.secrets(self._factory)
            raise

    def _keep_standing(self, standing: Standing) -> None:
        old, self._kept.standing = self._kept.standing, standing
        try:
            self.commit()
        except StoreError:
            self._kept.standing = old
            raise

    # What clients set.

    def written(self, ref: AttributeRef, value: Data) -> None:
        """Keep an attribute that a client has written.

        Raises:
            StoreError: it could not be kept for good.
        """
        octets = value.encode()
        settable = ref.class_id in SETTABLE_CLASSES or ref.obis.raw.startswith(_MESSAGES)
        if settable and len(octets) <= SETTING_OCTETS:
            self._kept.settings[str(ref)] = octets
        if (ref.class_id, ref.attribute) != (8, 2):  # the clock has events of its own
            self.engine.state.counts.settings += 1
            self.engine.record(Event.PARAMETERS_CHANGED)
        self.commit()

    def record(self, event: Event) -> None:
        """Write an event down, now."""
        self.engine.record(event)

    def day(self) -> int:
        """Return the day, counted from 1970, of the world's time."""
        return self.engine.state.world // (DAY * SECOND)
