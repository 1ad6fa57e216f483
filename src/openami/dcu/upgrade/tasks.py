"""One order and its meters, and what an answer of the head-end makes of them: no disk, no line."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError
from openami.dcu.upgrade.orders import Directive, MeterOrder
from openami.dcu.upgrade.reports import StepFailure
from openami.fleet.campaigns.model import StepKind
from openami.fleet.upgrade import Stage, Upgrade
from openami.store.upgrades import KeptMeter, KeptTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from openami.firmware.manifest import Attachment, Manifest

WITHDRAWN: Final = "upgrade.withdrawn"
EXPIRED: Final = "upgrade.expired"
NO_ANSWER: Final = "upgrade.no-answer"
UNKNOWN: Final = "upgrade.unknown-meter"
UNKNOWN_S: Final = 3600.0
"""How long a meter that is not on the line is waited for: a line is searched in minutes."""


@dataclass(frozen=True, slots=True)
class Row:
    """One meter of an order.

    Attributes:
        upgrade: how far it is.
        attempt: which of the tries with it, from 1.
        named: the order as it came last names it.
        image: the name of the image that it takes; empty: not known yet.
        told: which states it has marks of, a bit for each.
    """

    upgrade: Upgrade
    attempt: int = 1
    named: bool = True
    image: str = ""
    told: int = 0

    def kept(self, campaign: str) -> KeptMeter:
        """Return what is kept of it."""
        state = self.upgrade.encode()
        serial = self.upgrade.serial
        return KeptMeter(campaign, serial, self.attempt, self.named, self.image, self.told, state)


@dataclass(frozen=True, slots=True)
class Task:
    """One order, as it came last.

    Attributes:
        place: orders are carried out in this order.
        void: since when it does not hold any more; None: it holds.
        number: of the last report about it.
        failed: the step that could not be done.
        manifest: of its release, as far as it is known.
        rows: its meters by serial; replaced whole.
    """

    order: MeterOrder
    place: int
    number: int
    void: float | None = None
    failed: StepFailure | None = None
    manifest: Manifest | None = None
    rows: dict[str, Row] = field(default_factory=dict)

    @property
    def campaign(self) -> str:
        return self.order.campaign

    @property
    def going(self) -> bool:
        """Whether anything new may be begun for it."""
        return self.void is None and self.order.directive is Directive.GO

    @property
    def over(self) -> bool:
        """Whether every meter has come to its end."""
        return all(row.upgrade.stage.final for row in self.rows.values())

    def image(self, row: Row) -> Attachment | None:
        """Return the image that a meter takes; None: not known yet."""
        images = self.manifest.images if self.manifest else ()
        return next((image for image in images if image.name == row.image), None)

    def wanted(self) -> tuple[Attachment, ...]:
        """Return the images that meters which are not at their end take."""
        rows = [row for row in self.rows.values() if not row.upgrade.stage.final]
        found = dict.fromkeys(image for row in rows if (image := self.image(row)) is not None)
        return tuple(found)

    def may_fetch(self, now: float) -> bool:
        """Tell whether fetching may be begun, or go on after a restart."""
        step = self.order.download
        if not self.going or step is None or not step.open(now) or self.over:
            return False
        failed = self.failed
        return failed is None or failed.step != StepKind.DOWNLOAD or failed.attempt < step.attempt

    def kept(self) -> KeptTask:
        """Return what is kept of the order itself."""
        failed = None if self.failed is None else self.failed.encode()
        body = self.order.model_dump_json().encode()
        return KeptTask(self.campaign, self.place, body, self.void, self.number, failed)


def recalled(kept: KeptTask, meters: Sequence[KeptMeter], now: float) -> Task:
    """Return a task as it was kept; a meter whose state cannot be read begins anew.

    Raises:
        DecodeError: the order cannot be read.
    """
    try:
        order = MeterOrder.model_validate_json(kept.body)
    except ValueError as error:
        raise DecodeError("an order wanted", code="upgrade.order") from error
    failed = None if kept.failed is None else StepFailure.decode(kept.failed)
    rows = {meter.serial: _row(meter, now) for meter in meters}
    return Task(order, kept.place, kept.number, kept.void, failed, rows=rows)


def _row(kept: KeptMeter, now: float) -> Row:
    try:
        upgrade = Upgrade.decode(kept.state)
    except DecodeError:  # the meter is asked before anything is done: it loses time, no more
        return Row(_offer(kept.serial, kept.campaign, now), kept.attempt + 1, kept.named)
    return Row(upgrade, kept.attempt, kept.named, kept.image, kept.told)


def _offer(serial: str, campaign: str, now: float) -> Upgrade:
    return Upgrade(serial, campaign, since=now, marks={Stage.OFFERED: now})


# What an answer of the head-end makes of a task.


def follow(task: Task, order: MeterOrder, now: float) -> Task:
    """Return a task as an order that holds says it; the same task, if it says nothing new.

    Meters that it does not name any more are withdrawn, those that were withdrawn and are named
    again are tried again. Another release is another try for all that do not switch.
    """
    anew = order.release != task.order.release
    rows = dict(task.rows)
    for serial in order.meters:
        old = rows.get(serial)
        if old is None:
            rows[serial] = Row(_offer(serial, order.campaign, now))
        elif _begins_anew(old.upgrade, anew=anew):
            rows[serial] = Row(_offer(serial, order.campaign, now), old.attempt + 1)
        elif not old.named:
            rows[serial] = replace(old, named=True)
    for serial in rows.keys() - set(order.meters):
        rows[serial] = replace(
            rows[serial], upgrade=withdrawn(rows[serial].upgrade, now), named=False
        )
    manifest = None if anew else task.manifest
    return replace(
        task, order=order, void=None, failed=_failed(task, order), manifest=manifest, rows=rows
    )


def _begins_anew(upgrade: Upgrade, *, anew: bool) -> bool:
    return (anew and not upgrade.stage.switching) or upgrade.code == WITHDRAWN


def _failed(task: Task, order: MeterOrder) -> StepFailure | None:
    """Return the failure that still is to be told: a later attempt has taken its place."""
    failed = task.failed
    if failed is None:
        return None
    step = order.download if failed.step == StepKind.DOWNLOAD else order.activate
    return None if step is not None and step.attempt > failed.attempt else failed


def voided(task: Task, now: float) -> Task:
    """Return a task whose order does not hold any more: what switches already is followed."""
    rows = {
        serial: replace(row, upgrade=withdrawn(row.upgrade, now))
        for serial, row in task.rows.items()
    }
    return replace(task, void=now, rows=rows)


def withdrawn(upgrade: Upgrade, now: float) -> Upgrade:
    """Return the state of a meter that shall not be told to activate any more."""
    return _ended(upgrade, now, Stage.DISCARDED, WITHDRAWN)


def _ended(upgrade: Upgrade, now: float, stage: Stage, code: str, reason: str = "") -> Upgrade:
    if upgrade.stage.switching or upgrade.stage.final:
        return upgrade
    return upgrade.at(stage, now, code=code, reason=reason)


# What else happens to meters without talking to them.


def overdue(task: Task, now: float) -> Iterator[Upgrade]:
    """Return the states of meters whose time is over and that do not switch yet."""
    until = task.order.until
    if task.void is None and until is not None and now >= until:
        for row in task.rows.values():
            if not (row.upgrade.stage.switching or row.upgrade.stage.final):
                code = NO_ANSWER if _unheard(row.upgrade) else EXPIRED
                yield row.upgrade.at(Stage.FAILED, now, code=code)


def _unheard(upgrade: Upgrade) -> bool:
    """Tell whether a meter was silent or busy when it was asked last, and does not just verify."""
    return upgrade.failures > 0 and upgrade.stage is not Stage.VERIFYING


def placed(task: Task, model_of: Callable[[str], str | None], now: float) -> Iterator[Row]:
    """Return the rows of meters of which it is now known which image they take, or that none does.

    Args:
        task: whose manifest is known.
        model_of: returns what a meter says it is; None: it is not on the line.
        now: the true time.
    """
    manifest = task.manifest
    if manifest is None or task.void is not None:
        return
    for serial, row in task.rows.items():
        if row.image or row.upgrade.stage.final:
            continue
        model = model_of(serial)
        if model is not None:
            yield _placed(row, manifest, model, now)
        elif now - row.upgrade.since >= UNKNOWN_S:
            why = "it is not on this line"
            upgrade = row.upgrade.at(Stage.FAILED, now, code=UNKNOWN, reason=why)
            yield replace(row, upgrade=upgrade)


def _placed(row: Row, manifest: Manifest, model: str, now: float) -> Row:
    names = {fit.image for fit in manifest.fits if fit.model == model}
    if len(names) == 1:
        return replace(row, image=names.pop())
    # Meters do not tell which hardware they are: where that decides, none is guessed.
    code = "firmware.fit.hardware" if names else "firmware.fit.model"
    why = f"which image is for the model {model} is not said" if names else f"not for {model}"
    return replace(row, upgrade=row.upgrade.at(Stage.FAILED, now, code=code, reason=why))


def identifier_of(manifest: Manifest, image: Attachment) -> bytes:
    """Return the name by which meters know an image: it is another for every image."""
    name = f"{manifest.name}-{manifest.version}"[:40]
    return f"{name}-{image.sha256[:16]}".encode()
