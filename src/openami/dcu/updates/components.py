"""SCOMO: components of four kinds, fetched and switched on and off (SCOMO 1.0).

An image is kept as it came, in a file that its digest names, and looked at again before it is
used. Each step is on the disk before it is done, and doing one again changes nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import DecodeError, SecurityError, StoreError
from openami.dcu.updates import settings
from openami.dcu.updates.components_book import (
    DELIVERED_MOST,
    DEPLOYED_MOST,
    ComponentsBook,
    Entry,
    Step,
)
from openami.dcu.updates.fetching import FLOOR_OCTETS, Fetching
from openami.dcu.updates.works import UNKNOWN, Works
from openami.firmware.component import MAX_IMAGE, Component, ComponentKind
from openami.firmware.fits import Installed, why_not
from openami.firmware.manifest import Finding, ReleaseKind
from openami.firmware.packages import PackageId
from openami.firmware.version import Version
from openami.omadm.download.ends import RESULTS, End
from openami.omadm.objects.updates import ScomoResult
from openami.omadm.tree.refusal import TreeRefusedError
from openami.store.partial import PartialFile
from openami.store.whole import read_whole, replace_whole

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from openami.dcu.updates.fetching import Fetched
    from openami.dcu.updates.ledger import Order
    from openami.dcu.updates.programs import Programs
    from openami.dcu.updates.works import Bench
    from openami.firmware.manifest import Attachment, Manifest

_MISFITS: Final = frozenset({"firmware.fit.model", "firmware.fit.hardware", "firmware.fit.kind"})
_SAME: Final = "firmware.fit.same"

log = structlog.get_logger("dcu.updates")


class Components:
    """Carries out what the server has done with components; ``book`` takes its orders.

    Args:
        bench: what it is done with.
        programs: runs applications.
    """

    def __init__(self, bench: Bench, programs: Programs) -> None:
        self._bench = bench
        self._programs = programs
        self._folder = bench.folder / "components"
        self._place = PartialFile(bench.folder / "component", floor=FLOOR_OCTETS)
        self.book = ComponentsBook(bench)
        self._fetching = Fetching(
            bench.packages, self._place, bench.origin, bench.stop, bench.chance
        )
        self._steps: dict[str, Callable[[Order], Awaitable[None]]] = {
            Step.FETCH: self._fetch,
            Step.INSTALL: self._install,
            Step.ACTIVATE: self._activate,
            Step.DEACTIVATE: self._deactivate,
            Step.DISCARD: self._discard,
            Step.UNDEPLOY: self._undeploy,
            Step.FALL_BACK: self._fall_back,
        }
        self._works = Works(self.book.ledger, bench.stop, self._do, idle=self._rest)
        self.book.wake = self._works.wake

    async def run(self) -> None:
        """Carry out what is ordered, until the DCU ends."""
        self._tell_programs()
        try:
            await self._works.run()
        finally:
            await self._programs.close()

    async def void(self) -> None:
        """Give up what is fetched, and forget what is not installed; what switches goes on."""
        order = self.book.ledger.order
        if order is None or order.step == Step.FETCH:
            await self._works.give_up(self._give_up)

    async def _give_up(self) -> None:
        if await self._bench.thread.do(self.book.give_up):
            await self._bench.disk.do(self._place.clear)
            await self._rest()

    async def _rest(self) -> None:
        """Let the tree show new packages' operations, and drop images that nothing needs."""
        await self._bench.thread.do(self.book.mirror)
        await self._bench.disk.do(self._sweep, self.book.stock.images)

    # Steps

    async def _do(self, order: Order) -> None:
        if self.book.plan_of(order):
            await self._steps[order.step](order)
        else:
            result = ScomoResult.NOT_IMPLEMENTED
            await self._bench.thread.do(self.book.failed, order, UNKNOWN, result)

    async def _fetch(self, order: Order) -> None:
        do = self._bench.thread.do
        await do(self.book.enter, order)
        url = self._bench.tree.text(f"{order.node}/PkgURL")
        fetched = await self._fetching.fetch(url, self._choose)
        if fetched.manifest is None or fetched.image is None:
            if fetched.end is not None:
                await do(self.book.failed, order, fetched.words, _result_of(fetched))
            return
        try:
            component = await self._bench.disk.do(
                self._take_in, fetched.manifest, fetched.image.sha256
            )
        except (DecodeError, SecurityError) as error:
            words = f"{error.code} {error.message}"
            await do(self.book.failed, order, words, ScomoResult.VALIDATION_FAILED)
            return
        await do(self._delivered, order, fetched.manifest, fetched.image, component)

    def _take_in(self, manifest: Manifest, sha256: str) -> Component:
        """Keep the image that was fetched under its digest."""
        data = read_whole(self._place.path, most=MAX_IMAGE + 1)
        component = Component.decode(data)
        # Its name is what release counters are kept by: under another, a lower one would go in.
        if (component.name, component.version) != (manifest.name, manifest.version):
            message = f"it is {component.name} {component.version}, not {PackageId.of(manifest)}"
            raise SecurityError(message, code="firmware.package.manifest")
        replace_whole(self._folder / sha256, data)
        self._place.clear()
        return component

    def _delivered(
        self, order: Order, manifest: Manifest, image: Attachment, component: Component
    ) -> None:
        stock, (_, name) = self.book.stock, self.book.place_of(order)
        if name not in stock.delivered and len(stock.delivered) >= DELIVERED_MOST:
            words = f"store.full {DELIVERED_MOST} packages are here"
            self.book.failed(order, words, ScomoResult.NO_MEMORY_FOR_DOWNLOAD)
            return
        id_ = str(PackageId.of(manifest))
        version = str(component.version)
        entry = Entry(
            id_, image.sha256, component.kind.value, component.name, version, manifest.counter
        )
        self.book.done(order, replace(stock, delivered={**stock.delivered, name: entry}))

    async def _install(self, order: Order) -> None:
        """Deploy what was delivered; another version of it goes off first."""
        do, stock = self._bench.thread.do, self.book.stock
        entry = self.book.entry_of(order)
        if entry is None:
            await do(self.book.failed, order, "dcu.package it is not here any more")
            return
        floor = stock.floors.get(entry.name, 0)
        if entry.counter < floor:  # one with a higher counter was installed since it came
            words = f"firmware.fit.counter {entry.counter}; {floor} or higher is taken"
            await do(self.book.failed, order, words)
            return
        there = stock.deployed.get(entry.name)
        if there is None and len(stock.deployed) >= DEPLOYED_MOST:
            words = f"store.full {DEPLOYED_MOST} components are here"
            await do(self.book.failed, order, words, ScomoResult.NO_MEMORY_FOR_INSTALL)
            return
        if there is not None and there.sha256 != entry.sha256:
            words = await self._make_way(order, there, entry)
            if words:
                await do(self.book.failed, order, words)
                return
            stock = self.book.stock
            there = stock.deployed.get(entry.name)
        if there is None or there.sha256 != entry.sha256:
            stock = replace(
                stock,
                deployed={**stock.deployed, entry.name: entry},
                floors={**stock.floors, entry.name: entry.counter},
            )
        await do(self.book.done, order, stock)
        self._tell_programs()

    async def _activate(self, order: Order) -> None:
        do, entry = self._bench.thread.do, self.book.entry_of(order)
        if entry is None:
            await do(self.book.failed, order, "dcu.package it is not here any more")
            return
        words = await self._switch_on(entry)
        if words:
            await do(self.book.fall_back, order, words)
        elif not self._bench.stop:
            await do(self.book.done, order)

    async def _fall_back(self, order: Order) -> None:
        """Switch on again what was there before, and only then tell that the new one is not."""
        stock = self.book.stock
        words = stock.failure
        if stock.former is not None:
            there = stock.deployed[stock.former.name]
            why = await self._switch_on(there)
            if self._bench.stop:
                return
            words = f"{words}; {there.version} is {f'off: {why}' if why else 'on again'}"
        await self._bench.thread.do(self.book.failed, order, words)

    async def _deactivate(self, order: Order) -> None:
        entry = self.book.entry_of(order)
        await self._conclude(order, "" if entry is None else await self._switch_off(entry))

    async def _conclude(self, order: Order, words: str) -> None:
        """End a step: with words, badly."""
        if words:
            await self._bench.thread.do(self.book.failed, order, words)
        else:
            await self._bench.thread.do(self.book.done, order)

    async def _discard(self, order: Order) -> None:
        stock, (_, name) = self.book.stock, self.book.place_of(order)
        left = {key: one for key, one in stock.delivered.items() if key != name}
        await self._bench.thread.do(self.book.done, order, replace(stock, delivered=left))

    async def _undeploy(self, order: Order) -> None:
        stock, (_, name) = self.book.stock, self.book.place_of(order)
        left = {key: one for key, one in stock.deployed.items() if key != name}
        await self._bench.thread.do(self.book.done, order, replace(stock, deployed=left))

    # Switching

    async def _make_way(self, order: Order, there: Entry, entry: Entry) -> str:
        """Switch another version of a component off; return why it stays on, or nothing."""
        stays = there.active and Step.ACTIVATE in self.book.plan_of(order)
        if stays and entry.kind == there.kind == ComponentKind.CERTIFICATES:
            return await self._believe(replace(entry, active=True))
        if stays:
            former = replace(self.book.stock, former=there)
            await self._bench.thread.do(self.book.keep, order, former)
        return await self._switch_off(there)

    async def _switch_on(self, entry: Entry) -> str:
        """Switch a component on; return why it stays off, or nothing."""
        do = self._bench.thread.do
        try:
            component = await self._bench.disk.do(self._open, entry)
            if component.kind is ComponentKind.SETTINGS:
                await do(self._settle, entry, component)
        except (DecodeError, SecurityError, TreeRefusedError) as error:
            await do(self._unset, entry.name)
            return f"{error.code} {error.message}"
        if component.kind is ComponentKind.CERTIFICATES:
            return await self._believe(replace(entry, active=True))
        await do(self._note, replace(self.book.stock.deployed[entry.name], active=True))
        self._tell_programs()
        if component.kind is not ComponentKind.APPLICATION:
            return ""
        words = await self._programs.begun(entry.name)
        if words:
            await do(self._note, replace(entry, active=False))
            self._tell_programs()
        return words

    async def _believe(self, entry: Entry) -> str:
        """Trust the authorities of all certificates that are on, with one that is about to change.

        They hold once a session went well with them; else those of before do. Returns why, or
        nothing.
        """
        before = self.book.stock.deployed
        try:
            await self._bench.trust(await self._anchors({**before, entry.name: entry}, entry))
            if await self._bench.prove():
                await self._bench.thread.do(self._note, entry)
                return ""
            words = "scomo.session no session went well with them"
        except (DecodeError, SecurityError) as error:
            words = f"{error.code} {error.message}"
        await self._bench.trust(await self._anchors(before))
        return words

    async def _anchors(self, deployed: Mapping[str, Entry], wanted: Entry | None = None) -> str:
        """Return all authorities that are on, in PEM, but for those whose image is damaged.

        Raises:
            DecodeError, SecurityError: that of ``wanted`` is.
        """
        found = []
        for one in deployed.values():
            if not one.active or one.kind != ComponentKind.CERTIFICATES:
                continue
            try:
                found.append((await self._bench.disk.do(self._open, one)).anchors)
            except (DecodeError, SecurityError) as error:
                if one is wanted:
                    raise
                log.warning("authorities are damaged", name=one.name, code=error.code)
        return "".join(f"{anchors}\n" for anchors in found)

    async def _switch_off(self, entry: Entry) -> str:
        """Switch a component off; return why it stays on, or nothing."""
        if not entry.active:
            return ""
        do = self._bench.thread.do
        if entry.kind == ComponentKind.CERTIFICATES:
            return await self._believe(replace(entry, active=False))
        try:
            if entry.kind == ComponentKind.SETTINGS:
                component = await self._bench.disk.do(self._open, entry)
                await do(self._restore, entry, component)
        except (DecodeError, SecurityError, TreeRefusedError) as error:
            return f"{error.code} {error.message}"
        await do(self._note, replace(entry, active=False, before=None))
        self._tell_programs()
        return ""

    def _settle(self, entry: Entry, component: Component) -> None:
        """Let the tree have a component's settings; what was there is on the disk before."""
        tree, now = self._bench.tree, self._bench.clock.now()
        if entry.before is None:
            entry = replace(entry, before=settings.present(tree, component.settings))
            self._note(entry)
        settings.apply(tree, component.settings, now=now)

    def _unset(self, name: str) -> None:
        """Forget what was there before settings that were refused."""
        there = self.book.stock.deployed.get(name)
        if there is not None and there.before is not None and not there.active:
            self._note(replace(there, before=None))

    def _restore(self, entry: Entry, component: Component) -> None:
        tree, now = self._bench.tree, self._bench.clock.now()
        settings.restore(tree, component.settings, entry.before or {}, now=now)

    def _note(self, entry: Entry) -> None:
        stock = self.book.stock
        deployed = {**stock.deployed, entry.name: entry}
        self.book.keep(self.book.ledger.order, replace(stock, deployed=deployed))
        self.book.mirror()

    def _tell_programs(self) -> None:
        """Let those run that are on, with the libraries that are on."""
        on = [one for one in self.book.stock.deployed.values() if one.active]
        libraries = [one for one in on if one.kind == ComponentKind.LIBRARY]
        self._programs.want(
            {
                one.name: (self._folder / one.sha256, one.sha256)
                for one in on
                if one.kind == ComponentKind.APPLICATION
            },
            {self._folder / one.sha256: one.sha256 for one in libraries},
        )

    # Files

    def _open(self, entry: Entry) -> Component:
        """Return the component in a file whose digest holds."""
        data = read_whole(self._folder / entry.sha256, most=MAX_IMAGE + 1)
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise SecurityError(
                f"{entry.name} is not what was fetched", code="firmware.package.image"
            )
        return Component.decode(data)

    def _sweep(self, needed: frozenset[str]) -> None:
        """Remove images that nothing needs; StoreError."""
        folder = self._folder
        try:
            for file in folder.iterdir() if folder.is_dir() else ():
                if file.name not in needed:
                    file.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{folder}: {error.strerror}") from error

    def _choose(self, manifest: Manifest) -> Attachment | Finding:
        """Return the image that this device takes of a release, or why it takes none."""
        bench = self._bench
        if manifest.kind is not ReleaseKind.DCU_COMPONENT:
            return Finding("firmware.fit.kind", f"{manifest.kind} is no component of a DCU")
        there = self.book.stock.deployed.get(manifest.name)
        version = None if there is None else Version.parse(there.version)
        floor = self.book.stock.floors.get(manifest.name, 0)
        problem = why_not(manifest, Installed(bench.model, bench.hardware, version, floor))
        image = manifest.image_for(bench.model, bench.hardware)
        if image is not None and (problem is None or problem.code == _SAME):
            return image
        return problem or Finding("firmware.fit.hardware", f"not for {bench.hardware}")


def _result_of(fetched: Fetched) -> ScomoResult:
    if fetched.misfit is not None:
        mismatch = fetched.misfit.code in _MISFITS
        return ScomoResult.WRONG_ENVIRONMENT if mismatch else ScomoResult.VALIDATION_FAILED
    return RESULTS[fetched.end or End.ABORTED].scomo
