"""Every error of ours has one HTTP status, by its code."""

import pytest

from openami.core import errors
from openami.core.errors import (
    ConflictError,
    DecodeError,
    NotFoundError,
    OpenAmiError,
    SecurityError,
    StoreError,
    StoreFullError,
)
from openami.headend.errors import BusyError, RequestError
from openami.web.errors import STATUSES, respond, status_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFoundError("x"), 404),
        (NotFoundError("x", code="strange"), 404),
        (ConflictError("x", code="device.transition"), 409),
        (StoreFullError("x"), 503),
        (StoreError("x", code="store.busy"), 503),
        (DecodeError("x", code="upload.schema"), 422),
        (DecodeError("x"), 422),
        (SecurityError("x"), 403),
        (SecurityError("x", code="security.login"), 401),
        (SecurityError("x", code="fleet.not-yours"), 403),
        (RequestError("x", code="request.anything.at.all"), 400),
        (BusyError("x", retry_after=1), 503),
        (OpenAmiError("x"), 500),
        (OpenAmiError("x", code="unheard.of"), 500),
    ],
    ids=lambda value: value.code if isinstance(value, OpenAmiError) else str(value),
)
def test_statuses(error: OpenAmiError, status: int) -> None:
    assert status_of(error) == status
    assert respond(error).status_code == status


def test_every_class_of_the_tree_has_a_status_that_is_an_error() -> None:
    classes = [c for c in vars(errors).values() if isinstance(c, type)]
    for cls in (*classes, RequestError, BusyError):
        if issubclass(cls, OpenAmiError):
            assert any(
                cls.code == known or cls.code.startswith(f"{known}.") for known in STATUSES
            ), cls
    assert all(400 <= status <= 599 for status in STATUSES.values())


def test_what_happened_inside_stays_inside() -> None:
    answer = respond(OpenAmiError("the password is hunter2"))
    assert b"hunter2" not in bytes(answer.body)
    assert b"something went wrong here" in bytes(answer.body)


def test_come_back_later_says_when() -> None:
    assert respond(BusyError("x", retry_after=6.2)).headers["Retry-After"] == "7"
    assert respond(StoreFullError("x")).headers["Retry-After"] == "5"
