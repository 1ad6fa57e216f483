"""What the REST API takes and gives about registrations, expected devices and alarms."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field

from openami.core.clock import utc
from openami.fleet.alarms import RaisedAlarm
from openami.fleet.devices import LifecycleState
from openami.fleet.expected import Approval, ExpectedDevice
from openami.fleet.registration import Claim, RegistrationRecord, Standing
from openami.headend.registry import WHY
from openami.headend.security.registrations import Known
from openami.web.api.models.common import Cursor, Model, moment
from openami.web.api.models.pki import CertificateModel

Fingerprint = Annotated[str | None, Field(pattern=r"^[0-9A-Fa-f]{64}$")]
Text = Annotated[str, Field(max_length=128)]


class ClaimModel(Model):
    """Who asks to be a device."""

    exchange: str = Field(description="Names the device's registration.")
    factory_certificate: str = Field(description="SHA-256.")
    key: str = Field(description="SHA-256.")
    manufacturer: str = Field(description="Whose trust anchor vouches for the certificate.")
    model: str
    hardware: str
    firmware: str
    asked: datetime

    @classmethod
    def of(cls, claim: Claim) -> Self:
        """Return the model of a claim."""
        return cls(
            exchange=claim.exchange.hex(),
            factory_certificate=claim.factory.hex(),
            key=claim.key.hex(),
            manufacturer=claim.manufacturer,
            model=claim.model,
            hardware=claim.hardware,
            firmware=claim.firmware,
            asked=utc(claim.when),
        )


class RegistrationModel(Model):
    """How far a device's registration is."""

    uid: str
    standing: Standing
    reason: str | None = Field(description="Why it is refused.")
    claim: ClaimModel
    rival: ClaimModel | None = Field(description="Who else claims to be this device.")
    before: Standing | None = Field(description="Where it stood before it was blocked.")
    offered_until: datetime | None
    open: bool = Field(description="Whether the next claim takes the place of this one.")
    asks_anew: datetime | None = Field(
        description="When it last asked to register anew, within the hour: `reopen` lets it."
    )
    device_state: LifecycleState | None = Field(description="In the registry.")

    @classmethod
    def of(cls, record: RegistrationRecord, now: float) -> Self:
        """Return the model of a registration at a time."""
        return cls(**_fields(record, now))


def _fields(record: RegistrationRecord, now: float) -> dict[str, Any]:
    registration, device = record.registration, record.device
    rival, offer, reason = registration.rival, registration.offer, registration.reason
    return {
        "uid": registration.uid,
        "standing": registration.standing,
        "reason": reason.value if reason else None,
        "claim": ClaimModel.of(registration.claim),
        "rival": ClaimModel.of(rival) if rival else None,
        "before": registration.before,
        "offered_until": utc(offer.until) if offer else None,
        "open": registration.open,
        "asks_anew": moment(record.asked if record.asks_anew(now) else None),
        "device_state": device.state if device else None,
    }


class RegistrationPage(Model):
    """Some registrations, by uid."""

    items: list[RegistrationModel]
    next: Cursor


class ExpectedModel(Model):
    """A device that is expected."""

    uid: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")]
    manufacturer: Text = ""
    model: Text = ""
    fingerprint: Fingerprint = Field(None, description="SHA-256 of the factory certificate.")
    approval: Approval = Approval.AUTO
    region: Text = ""
    label: Text = ""

    @classmethod
    def of(cls, device: ExpectedDevice) -> Self:
        """Return the model of an expected device."""
        print_of = device.fingerprint.hex() if device.fingerprint else None
        return cls(
            uid=device.uid,
            manufacturer=device.manufacturer,
            model=device.model,
            fingerprint=print_of,
            approval=device.approval,
            region=device.region,
            label=device.label,
        )

    def device(self) -> ExpectedDevice:
        """Return what it describes."""
        return ExpectedDevice(
            uid=self.uid,
            manufacturer=self.manufacturer,
            model=self.model,
            fingerprint=bytes.fromhex(self.fingerprint) if self.fingerprint else None,
            approval=self.approval,
            region=self.region,
            label=self.label,
        )


class ExpectedPage(Model):
    """Some expected devices, by uid."""

    items: list[ExpectedModel]
    next: Cursor


class ExpectedResult(Model):
    """What became of a list."""

    devices: int = Field(description="How many devices it names.")


class KnownModel(RegistrationModel):
    """All that is known of a device's registration."""

    expected: ExpectedModel | None
    certificate: CertificateModel | None = Field(description="The operational one that is good.")

    @classmethod
    def known(cls, known: Known, now: float) -> Self:
        """Return the model of all that is known at a time."""
        return cls(
            **_fields(known, now),
            expected=ExpectedModel.of(known.expected) if known.expected else None,
            certificate=CertificateModel.of(known.certificate, now) if known.certificate else None,
        )


class Decision(StrEnum):
    """What a person decides on a registration."""

    APPROVE = "approve"
    REFUSE = "refuse"
    SUSPEND = "suspend"
    RESUME = "resume"
    RETIRE = "retire"
    REOPEN = "reopen"
    KEEP = "keep"
    TAKE_RIVAL = "take-rival"


class Reasoned(Model):
    """Why; only an approval needs no reason."""

    why: Annotated[str, Field(max_length=WHY)] = ""


class AlarmModel(Model):
    """What a person must look at."""

    id: int
    code: str = Field(examples=["registration.twice"])
    subject: str = Field(examples=["dcu-D1"])
    message: str
    raised: datetime
    cleared: datetime | None
    cleared_by: str

    @classmethod
    def of(cls, alarm: RaisedAlarm) -> Self:
        """Return the model of an alarm."""
        return cls(
            id=alarm.id,
            code=alarm.code,
            subject=alarm.subject,
            message=alarm.message,
            raised=utc(alarm.raised),
            cleared=moment(alarm.cleared),
            cleared_by=alarm.cleared_by,
        )


class AlarmPage(Model):
    """Some alarms, newest first."""

    items: list[AlarmModel]
    next: Cursor
