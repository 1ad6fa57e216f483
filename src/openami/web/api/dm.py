"""Devices' trees, groups of devices, and jobs for them."""

from collections.abc import Callable, Mapping
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Response, status

from openami.fleet.desired import Scope, Setting
from openami.fleet.tasks import Command, TaskKind, TaskState
from openami.headend.errors import RequestError
from openami.headend.management.addresses import (
    command_to_exec,
    command_to_get,
    command_to_set,
)
from openami.headend.management.device_groups import group_scope
from openami.headend.management.tasks import Whom
from openami.headend.management.trees import MOST, device_scope
from openami.web.api import API
from openami.web.api.dependencies import (
    After,
    Head,
    IdempotencyKey,
    Limit,
    OperatorCaller,
    Viewer,
    errors,
    ticket_of,
)
from openami.web.api.models.dm import (
    Concerned,
    DifferentDeviceModel,
    DifferentPage,
    GroupList,
    GroupModel,
    GroupRequest,
    GroupStanding,
    RefusedModel,
    RefusedPage,
    Retried,
    TreeChangeModel,
    TreeChangePage,
    TreeModel,
    WishList,
    WishModel,
    WishProgressList,
    WishProgressModel,
    WishRequest,
    Woken,
)
from openami.web.api.models.dm_jobs import (
    DmJobModel,
    DmJobPage,
    DmJobRequest,
    TaskModel,
    TaskPage,
)

router = APIRouter(prefix=f"{API}/dm", tags=["device management"])

Uid = Annotated[str, Path(max_length=32, examples=["OAMDCU0001"])]
Name = Annotated[str, Path(max_length=64, examples=["north"])]
JobId = Annotated[str, Path(max_length=64)]
Node = Annotated[
    str | None, Query(max_length=1024, description="This node and all below it, such as ./AMI.")
]
Nodes = Annotated[list[str], Query(alias="uri", min_length=1, max_length=MOST)]


@router.get("/devices/{uid}/tree", responses=errors(400, 404))
def tree(head: Head, caller: Viewer, uid: Uid, below: Node = None) -> TreeModel:
    """Return a device's tree: what is known, what is wanted, what is to change, what it refused."""
    del caller
    return TreeModel.of(head.management.trees.view(uid, below=below))


@router.get("/devices/{uid}/history", responses=errors(400, 404, 409))
def history(
    head: Head,
    caller: Viewer,
    uid: Uid,
    *,
    below: Node = None,
    after: After = None,
    limit: Limit = 100,
) -> TreeChangePage:
    """Return what has changed in a device's tree, newest first."""
    del caller
    page = head.management.trees.history(uid, address=below, after=after, limit=limit)
    return TreeChangePage(items=[TreeChangeModel.of(item) for item in page.items], next=page.next)


@router.post("/devices/{uid}/refresh", responses=errors(400, 404))
def refresh(head: Head, caller: OperatorCaller, uid: Uid) -> Woken:
    """Have a device's tree looked at again, in a session that begins soon."""
    del caller
    return Woken(woken=head.management.trees.refresh(uid))


@router.post("/devices/{uid}/retry", responses=errors(400, 404))
def retry(head: Head, caller: OperatorCaller, uid: Uid) -> Retried:
    """Have a device told again what it has refused."""
    return Retried(nodes=head.management.trees.retry(uid, who=caller.name))


@router.post("/devices/{uid}/wake", responses=errors(400, 404))
def wake(head: Head, caller: OperatorCaller, uid: Uid) -> Woken:
    """Have a device begin a session, soon."""
    del caller
    return Woken(woken=head.management.trees.wake(uid))


@router.get("/devices/{uid}/desired", responses=errors(400, 404))
def device_wishes(head: Head, caller: Viewer, uid: Uid) -> WishList:
    """Return what is wanted of a device itself, beside what its groups want."""
    del caller
    return _wishes(head, device_scope(uid))


@router.put("/devices/{uid}/desired", responses=errors(400, 404, 409))
def want_of_device(head: Head, caller: OperatorCaller, uid: Uid, wish: WishRequest) -> Concerned:
    """Want nodes of a device to be so from now on; this wins over what its groups want."""
    return _want(head, device_scope(uid), wish, caller.name)


@router.delete("/devices/{uid}/desired", responses=errors(400, 404))
def unwant_of_device(head: Head, caller: OperatorCaller, uid: Uid, uris: Nodes) -> Concerned:
    """Want nothing of some nodes of a device any more; they stay as they are."""
    return _unwant(head, device_scope(uid), uris, caller.name)


@router.get("/groups", responses=errors())
def groups(head: Head, caller: Viewer) -> GroupList:
    """Return the groups, the weakest first."""
    del caller
    return GroupList(items=[GroupModel.of(view) for view in head.management.groups.list()])


@router.get("/groups/{name}", responses=errors(400, 404))
def group(head: Head, caller: Viewer, name: Name) -> GroupModel:
    """Return a group."""
    del caller
    return GroupModel.of(head.management.groups.get(name))


@router.put("/groups/{name}", responses=errors(400, 409))
def put_group(head: Head, caller: OperatorCaller, name: Name, wish: GroupRequest) -> GroupModel:
    """Make a group, or give it another filter or priority."""
    view = head.management.groups.put(
        name, wish.filter.filter(), priority=wish.priority, who=caller.name
    )
    head.management.standings.forget(name)
    return GroupModel.of(view)


@router.delete("/groups/{name}", responses=errors(400, 404))
def remove_group(head: Head, caller: OperatorCaller, name: Name) -> Concerned:
    """Remove a group with all that it wants; its devices stay as they are."""
    concerned = Concerned(devices=head.management.groups.remove(name, who=caller.name))
    head.management.standings.forget(name)
    return concerned


@router.get("/groups/{name}/progress", responses=errors(400, 404))
async def progress(head: Head, caller: Viewer, name: Name) -> WishProgressList:
    """Return how many devices of a group are as it wants them to be, node by node.

    A device that a stronger group or its own wishes make otherwise is not counted as `so`. The
    answer for a large fleet may be 15 seconds old.
    """
    del caller
    found = await head.management.standings.progress(name)
    return WishProgressList(items=[WishProgressModel.of(item) for item in found])


@router.get("/groups/{name}/standing", responses=errors(400, 404))
async def standing(head: Head, caller: Viewer, name: Name) -> GroupStanding:
    """Return how many devices of a group are not what they are wanted to be.

    That is what this group, other groups and the devices' own settings want of them together. The
    answer for a large fleet may be 15 seconds old.
    """
    del caller
    return GroupStanding.of(await head.management.standings.figures(name))


@router.get("/groups/{name}/differences", responses=errors(400, 404))
async def differences(
    head: Head, caller: Viewer, name: Name, *, after: After = None, limit: Limit = 100
) -> DifferentPage:
    """Return which devices of a group are not known to be as wanted, and at which nodes."""
    del caller
    page = await head.management.standings.differences(name, after=after, limit=limit)
    return DifferentPage(
        items=[DifferentDeviceModel.of(item) for item in page.items], next=page.next
    )


@router.get("/refused", responses=errors(400, 404, 409))
def refused(
    head: Head,
    caller: Viewer,
    group: Annotated[str | None, Query(max_length=64, description="Only its devices.")] = None,
    after: After = None,
    limit: Limit = 100,
) -> RefusedPage:
    """Return what devices have refused of what is wanted of them."""
    del caller
    page = head.management.groups.refused(group, after=after, limit=limit)
    items = [RefusedModel.of(uid, node) for uid, node in page.items]
    return RefusedPage(items=items, next=page.next)


@router.get("/groups/{name}/desired", responses=errors(400, 404))
def group_wishes(head: Head, caller: Viewer, name: Name) -> WishList:
    """Return what is wanted of a group."""
    del caller
    return _wishes(head, group_scope(name))


@router.put("/groups/{name}/desired", responses=errors(400, 404, 409))
def want_of_group(head: Head, caller: OperatorCaller, name: Name, wish: WishRequest) -> Concerned:
    """Want nodes of all devices of a group to be so from now on."""
    concerned = _want(head, group_scope(name), wish, caller.name)
    head.management.standings.forget(name)
    return concerned


@router.delete("/groups/{name}/desired", responses=errors(400, 404))
def unwant_of_group(head: Head, caller: OperatorCaller, name: Name, uris: Nodes) -> Concerned:
    """Want nothing of some nodes of a group any more; they stay as they are."""
    concerned = _unwant(head, group_scope(name), uris, caller.name)
    head.management.standings.forget(name)
    return concerned


@router.post("/jobs", status_code=status.HTTP_202_ACCEPTED, responses=errors(400, 404, 409))
def create_job(
    head: Head,
    caller: OperatorCaller,
    wish: DmJobRequest,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> DmJobModel:
    """Have devices do something, once; `Location` is where to follow it.

    A request that is made again with its `Idempotency-Key`, since no answer came, is answered with
    the job that it has made; the key is forgotten with the job.
    """
    progress = head.management.tasks.create(
        wish.kind,
        COMMANDS[wish.kind](wish),
        Whom(tuple(wish.devices), wish.group, wish.filter.filter() if wish.filter else None),
        who=caller.name,
        why=wish.why,
        expires_s=wish.expires_s,
        repeatable=wish.repeatable,
        keep=_kept(wish),
        ticket=ticket_of(idempotency_key, wish),
    )
    response.headers["Location"] = f"/api/v1/dm/jobs/{progress.job.id}"
    return DmJobModel.of(progress)


@router.get("/jobs", responses=errors(409))
def dm_jobs(
    head: Head,
    caller: Viewer,
    device: Annotated[str | None, Query(max_length=32, description="UID of a device.")] = None,
    after: After = None,
    limit: Limit = 100,
) -> DmJobPage:
    """Return jobs, newest first."""
    del caller
    page = head.management.tasks.list(uid=device, after=after, limit=limit)
    return DmJobPage(items=[DmJobModel.of(item) for item in page.items], next=page.next)


@router.get("/jobs/{job}", responses=errors(404))
def dm_job(head: Head, caller: Viewer, job: JobId) -> DmJobModel:
    """Return how far a job is."""
    del caller
    return DmJobModel.of(head.management.tasks.get(job))


@router.get("/jobs/{job}/tasks", responses=errors(404, 409))
def tasks(
    head: Head,
    caller: Viewer,
    job: JobId,
    *,
    state: TaskState | None = None,
    after: After = None,
    limit: Limit = 100,
) -> TaskPage:
    """Return what came of a job, device by device."""
    del caller
    page = head.management.tasks.tasks(job, state=state, after=after, limit=limit)
    return TaskPage(items=[TaskModel.of(item) for item in page.items], next=page.next)


@router.post("/jobs/{job}/cancel", responses=errors(404))
def cancel(head: Head, caller: OperatorCaller, job: JobId) -> DmJobModel:
    """Take back what was not sent yet of a job."""
    return DmJobModel.of(head.management.tasks.cancel(job, who=caller.name))


def _wishes(head: Head, scope: Scope) -> WishList:
    return WishList(items=[WishModel.of(wish) for wish in head.management.trees.wishes(scope)])


def _want(head: Head, scope: Scope, wish: WishRequest, who: str) -> Concerned:
    settings = [setting.wish() for setting in wish.settings]
    return Concerned(devices=head.management.trees.want(scope, settings, who=who))


def _unwant(head: Head, scope: Scope, uris: list[str], who: str) -> Concerned:
    return Concerned(devices=head.management.trees.unwant(scope, uris, who=who))


def _kept(wish: DmJobRequest) -> list[Setting]:
    """Return what a job sets for good."""
    if wish.keep and not wish.settings:
        raise RequestError("only what is set is kept", code="request.keep")
    return [setting.wish() for setting in wish.settings] if wish.keep else []


def _to_get(wish: DmJobRequest) -> list[Command]:
    return [command_to_get(uri) for uri in wish.uris]


def _to_set(wish: DmJobRequest) -> list[Command]:
    return [command_to_set(setting.setting()) for setting in wish.settings]


def _to_exec(wish: DmJobRequest) -> list[Command]:
    return [command_to_exec(uri, wish.data) for uri in wish.uris]


COMMANDS: Final[Mapping[TaskKind, Callable[[DmJobRequest], list[Command]]]] = {
    TaskKind.GET: _to_get,
    TaskKind.SET: _to_set,
    TaskKind.EXEC: _to_exec,
}
