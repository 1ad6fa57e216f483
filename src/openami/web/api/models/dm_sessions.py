"""What the REST API gives about sessions of device management."""

from datetime import datetime
from typing import Any, Self

from pydantic import Field

from openami.core.clock import utc
from openami.core.inspection import Node
from openami.fleet.accounts import SessionRecord
from openami.headend.management.sessionlog import ShownMessage, ShownSession
from openami.web.api.models.common import Cursor, Model


class SessionModel(Model):
    """A session with a device that is over."""

    id: int
    uid: str = Field(examples=["D1000001"])
    session: str = Field(description="SessionID, hexadecimal.", examples=["2A"])
    began: datetime
    ended: datetime
    end: str = Field(description="done, aborted, refused, timeout or broken.")
    code: str | None = Field(description="Of the error that ended it.")
    message: str
    notified: bool = Field(description="Whether the device was woken.")
    messages: int
    octets: int = Field(description="Of all messages.")
    orders: int = Field(description="How many the device was given.")

    @classmethod
    def of(cls, session: SessionRecord) -> Self:
        """Return the model of a session."""
        return cls(
            id=session.id,
            uid=session.uid,
            session=session.session,
            began=utc(session.began),
            ended=utc(session.ended),
            end=session.end,
            code=session.code,
            message=session.message,
            notified=session.notified,
            messages=session.messages,
            octets=session.octets,
            orders=session.orders,
        )


class SessionPage(Model):
    """Sessions, the latest first."""

    items: list[SessionModel]
    next: Cursor


class NodeModel(Model):
    """An element of a message."""

    name: str = Field(examples=["LocURI"])
    value: Any = Field(description="Its characters; null if it has others in it, or is hidden.")
    note: str = Field(description="The value in words, or `hidden` for what nobody is to see.")
    children: "list[NodeModel]"

    @classmethod
    def of(cls, node: Node) -> Self:
        """Return the model of an element."""
        children = [NodeModel.of(child) for child in node.children]
        return cls(name=node.name, value=node.value, note=node.note, children=children)


class MessageModel(Model):
    """A message of a session."""

    number: int
    sent: bool = Field(description="By the server; else by the device.")
    at: datetime
    media: str = Field(description="Media type.")
    octets: int
    content: NodeModel | None = Field(description="What it says; null if that was not kept.")
    note: str = Field(description="Why there is no content.")

    @classmethod
    def of(cls, message: ShownMessage) -> Self:
        """Return the model of a message."""
        record = message.record
        return cls(
            number=record.number,
            sent=record.sent,
            at=utc(record.at),
            media=record.media,
            octets=record.octets,
            content=None if message.node is None else NodeModel.of(message.node),
            note=message.note,
        )


class ConversationModel(Model):
    """A session with each message decoded."""

    session: SessionModel
    messages: list[MessageModel]
    note: str = Field(description="Why messages are missing; empty: all are here.")

    @classmethod
    def of(cls, shown: ShownSession) -> Self:
        """Return the model of a session with its messages."""
        messages = [MessageModel.of(message) for message in shown.messages]
        return cls(session=SessionModel.of(shown.session), messages=messages, note=shown.note)
