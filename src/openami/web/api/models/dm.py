"""What the REST API takes and gives about devices' trees, groups and jobs."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from openami.core.clock import utc
from openami.fleet.desired import INTERIOR, MOST_PRIORITY, KnownNode, Setting, StepKind, Wish
from openami.fleet.devices import Contact, LifecycleState
from openami.fleet.known import TreeChange, leaf
from openami.fleet.management import DifferentDevice, DifferentNode, Standing, WishProgress
from openami.fleet.ports import DeviceFilter
from openami.headend.management.addresses import setting, wish
from openami.headend.management.device_groups import GroupView
from openami.headend.management.trees import MOST, NodeView, TreeView
from openami.web.api.models.common import Cursor, Model, moment

Address = Annotated[str, Field(max_length=1024, examples=["./AMI/Link/Window"])]
Text = Annotated[str | None, Field(max_length=128)]


class FilterModel(Model):
    """Which DCUs; what is not given is any."""

    state: LifecycleState | None = None
    contact: Contact | None = None
    region: Text = None
    search: Annotated[
        str | None, Field(max_length=64, description="Part of serial number, label or model.")
    ] = None

    def filter(self) -> DeviceFilter:
        """Return the filter."""
        return DeviceFilter(
            state=self.state, contact=self.contact, region=self.region, search=self.search
        )

    @classmethod
    def of(cls, which: DeviceFilter) -> Self:
        """Return the model of a filter."""
        return cls(
            state=which.state, contact=which.contact, region=which.region, search=which.search
        )


class SettingModel(Model):
    """What a node is to be."""

    uri: Address
    value: str | None = Field(
        description="As the leaf has it, base64 for `bin`; null: there is to be no such node.",
        examples=["3"],
    )
    format: Annotated[str | None, Field(max_length=8)] = Field(
        None, description="That of the object's description, if not given.", examples=["int"]
    )
    unchecked: bool = Field(
        default=False,
        description="Send it even if our description of the objects knows no such node or value.",
    )

    def wish(self) -> Setting:
        """Return it as something that is to last."""
        return wish(self.uri, self.value, form=self.format, unchecked=self.unchecked)

    def setting(self) -> Setting:
        """Return it as something that is set once."""
        return setting(self.uri, self.value, form=self.format, unchecked=self.unchecked)


class WishRequest(Model):
    """What nodes are to be from now on."""

    settings: Annotated[list[SettingModel], Field(min_length=1, max_length=MOST)]


class WishModel(Model):
    """What a node is wanted to be."""

    uri: str
    value: str | None = Field(description="Null: there is to be no such node.")
    format: str
    scope: str = Field(description="Who wants it so.", examples=["group:north"])
    who: str
    at: datetime

    @classmethod
    def of(cls, found: Wish) -> Self:
        """Return the model of a wish."""
        setting = found.setting
        return cls(
            uri=setting.uri,
            value=None if setting.absent else setting.value,
            format=setting.format,
            scope=str(found.scope),
            who=found.who,
            at=utc(found.at),
        )


class WishList(Model):
    """What is wanted of a group or a device itself, by address."""

    items: list[WishModel]


class Concerned(Model):
    """How many devices a change concerns; they are woken."""

    devices: int


class TreeNodeModel(Model):
    """A node: as it is known, as it is wanted, and what stands between."""

    uri: str
    present: bool = Field(description="Whether the device is known to have it.")
    format: str | None
    value: str | None = Field(description="Null: an inner node, or none.")
    acl: str = Field(description="Its own; empty: that of the node above it.")
    seen: datetime | None = Field(description="When it was first seen like this.")
    wanted: WishModel | None
    pending: StepKind | None = Field(description="What the next session will do.")
    refused: int | None = Field(
        description="The status with which the device has refused what is wanted.", examples=[500]
    )
    words: str = Field(description="What the device said of its refusal.")

    @classmethod
    def of(cls, node: NodeView) -> Self:
        """Return the model of a node."""
        known = node.known
        leaf = known is not None and known.format != INTERIOR
        return cls(
            uri=node.uri,
            present=known is not None,
            format=known.format if known else None,
            value=known.value if known and leaf else None,
            acl=known.acl if known else "",
            seen=moment(known.at) if known else None,
            wanted=WishModel.of(node.wish) if node.wish else None,
            pending=node.pending,
            refused=node.status,
            words=node.words,
        )


class TreeModel(Model):
    """A device's tree."""

    device: str
    known_at: datetime | None = Field(
        description="When all of it was last seen; null: the next session looks at it."
    )
    groups: list[str] = Field(description="That the device belongs to, the strongest last.")
    pending: int = Field(description="Nodes that the next session will change.")
    refused: int = Field(description="Nodes that the device has refused to change.")
    nodes: list[TreeNodeModel]

    @classmethod
    def of(cls, view: TreeView) -> Self:
        """Return the model of a tree."""
        return cls(
            device=view.uid,
            known_at=moment(view.known_at),
            groups=[group.name for group in view.groups],
            pending=view.pending,
            refused=view.refused,
            nodes=[TreeNodeModel.of(node) for node in view.nodes],
        )


class TreeChangeModel(Model):
    """A node that has changed, or was to change and was refused."""

    uri: str
    old: str | None = Field(description="Null: there was no such leaf.")
    new: str | None = Field(description="Null: there is none any more.")
    status: int = Field(description="200, or that of the refusal.")
    at: datetime
    origin: str = Field(
        description="`group:NAME`, `device:UID`, `job ID`, or `device`: by itself.",
        examples=["group:north"],
    )
    words: str = Field(description="What the device said of its refusal.")

    @classmethod
    def of(cls, change: TreeChange) -> Self:
        """Return the model of a change."""
        return cls(
            uri=change.uri,
            old=change.old,
            new=change.new,
            status=change.status,
            at=utc(change.at),
            origin=change.origin,
            words=change.words,
        )


class TreeChangePage(Model):
    """Changes, newest first."""

    items: list[TreeChangeModel]
    next: Cursor


class Woken(Model):
    """Whether a device has an account, so that it is woken."""

    woken: bool


class Retried(Model):
    """How many refused nodes the device will be told again."""

    nodes: int


class GroupRequest(Model):
    """What makes a group."""

    filter: FilterModel = FilterModel()
    priority: Annotated[int, Field(ge=-MOST_PRIORITY, le=MOST_PRIORITY)] = Field(
        0, description="A device is what its group of the highest priority says."
    )


class GroupModel(Model):
    """DCUs that are configured together."""

    name: str
    filter: FilterModel
    priority: int
    devices: int = Field(description="How many it finds now.")
    wishes: int = Field(description="How many nodes it wants to be so.")
    created: datetime
    who: str

    @classmethod
    def of(cls, view: GroupView) -> Self:
        """Return the model of a group."""
        group = view.group
        return cls(
            name=group.name,
            filter=FilterModel.of(group.which),
            priority=group.priority,
            devices=view.devices,
            wishes=view.wishes,
            created=utc(group.created),
            who=group.who,
        )


class GroupList(Model):
    """All groups, the weakest first."""

    items: list[GroupModel]


class WishProgressModel(Model):
    """How many devices of a group are as it wants them to be."""

    wish: WishModel
    devices: int = Field(description="Those of the group that have an account.")
    so: int = Field(description="Of them, those that are known to be as wanted.")
    refused: int = Field(description="Those that have refused something of this node.")

    @classmethod
    def of(cls, found: WishProgress) -> Self:
        """Return the model of a wish's progress."""
        return cls(
            wish=WishModel.of(found.wish),
            devices=found.devices,
            so=found.so,
            refused=found.refused,
        )


class WishProgressList(Model):
    """How far a group is what it wants to be, by address."""

    items: list[WishProgressModel]


class GroupStanding(Model):
    """How many devices of a group are not what they are wanted to be, by all that wants."""

    devices: int = Field(description="Those of the group, with an account or without.")
    as_wanted: int = Field(description="Those that are neither different nor unseen.")
    different: int = Field(description="Those that are known to be otherwise at some node.")
    unseen: int = Field(
        description="Those whose tree is to be looked at, so that it is not known what they are."
    )
    refused: int = Field(description="Those that have refused something that is wanted of them.")

    @classmethod
    def of(cls, found: Standing) -> Self:
        """Return the model of a group's standing."""
        return cls(
            devices=found.devices,
            as_wanted=found.as_wanted,
            different=found.different,
            unseen=found.unseen,
            refused=found.refused,
        )


class DifferentNodeModel(Model):
    """A node that is wanted otherwise than it was last known."""

    uri: str
    value: str | None = Field(description="What it was last known to be; null: no such leaf.")
    wanted: WishModel
    refused: int | None = Field(
        description="The status with which the device has refused just this.", examples=[416]
    )
    words: str = Field(description="What the device said of that.")

    @classmethod
    def of(cls, node: DifferentNode) -> Self:
        """Return the model of a node that differs."""
        refusal = node.known if node.refused else None
        return cls(
            uri=node.wish.setting.uri,
            value=leaf(node.known),
            wanted=WishModel.of(node.wish),
            refused=None if refusal is None else refusal.status,
            words="" if refusal is None else refusal.words,
        )


class DifferentDeviceModel(Model):
    """A device that is not known to be as it is wanted to be."""

    device: str
    known_at: datetime | None = Field(
        description="When its tree was last seen; null: never, or it is to be looked at again, and"
        " `nodes` is what was known before."
    )
    nodes: list[DifferentNodeModel] = Field(description="The first that differ, by address.")
    more: int = Field(description="How many others differ: its tree has them.")

    @classmethod
    def of(cls, found: DifferentDevice) -> Self:
        """Return the model of a device that differs."""
        return cls(
            device=found.uid,
            known_at=moment(found.known_at),
            nodes=[DifferentNodeModel.of(node) for node in found.nodes],
            more=found.more,
        )


class DifferentPage(Model):
    """Devices that are not known to be as wanted, by name."""

    items: list[DifferentDeviceModel]
    next: Cursor


class RefusedModel(Model):
    """What a device has refused."""

    device: str
    uri: str
    wanted: str | None = Field(description="Null: that there be no such node.")
    value: str | None = Field(description="What it has instead; null: no such leaf.")
    status: int | None = Field(examples=[500])
    words: str = Field(description="What the device said of that.")

    @classmethod
    def of(cls, uid: str, node: KnownNode) -> Self:
        """Return the model of a node that a device has refused to change."""
        wanted = node.refused
        return cls(
            device=uid,
            uri=node.uri,
            wanted=None if wanted is None or wanted.absent else wanted.value,
            value=leaf(node),
            status=node.status,
            words=node.words,
        )


class RefusedPage(Model):
    """What devices have refused, by device and address."""

    items: list[RefusedModel]
    next: Cursor
