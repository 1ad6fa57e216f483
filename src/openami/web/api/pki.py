"""Certificates: authorities, trust anchors of manufacturers, what was issued and revoked."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, status

from openami.crypto.requests import requested_key
from openami.fleet.certificates import CertificateKind
from openami.headend.registry import reason
from openami.headend.security.issued import serial_number
from openami.web.api import API
from openami.web.api.dependencies import Admin, After, Head, Limit, Viewer, errors
from openami.web.api.models.pki import (
    AnchorList,
    AnchorModel,
    AuthorityModel,
    CertificateModel,
    CertificatePage,
    IssuedModel,
    NewAnchor,
    OperatorRequest,
    Revocation,
)

router = APIRouter(prefix=f"{API}/pki", tags=["certificates"])

Serial = Annotated[str, Path(max_length=64, description="In hexadecimal digits.")]
Fingerprint = Annotated[str, Path(max_length=95, description="SHA-256, hexadecimal.")]


@router.get("/authorities", responses=errors())
def authorities(head: Head, caller: Viewer) -> list[AuthorityModel]:
    """Return the head-end's authorities."""
    del caller
    now = head.wall.now()
    return [AuthorityModel.of(name, found, now) for name, found in head.pki.authorities().items()]


@router.get("/anchors", responses=errors())
def anchors(head: Head, caller: Viewer) -> list[AnchorModel]:
    """Return the manufacturers whose factory certificates are believed."""
    del caller
    return [AnchorModel.of(anchor) for anchor in head.pki.anchors()]


@router.post("/anchors", status_code=status.HTTP_201_CREATED, responses=errors(400))
def add_anchor(head: Head, caller: Admin, new: NewAnchor) -> AnchorModel:
    """Trust a manufacturer: devices with its factory certificates may ask to be registered."""
    text = new.certificate.encode()
    return AnchorModel.of(head.pki.add_anchor(new.manufacturer, text, who=caller.name))


@router.post("/anchors/lists", responses=errors(400))
def take_list(head: Head, caller: Admin, wish: AnchorList) -> AnchorModel:
    """Take a manufacturer's own list of revoked certificates; from then on one must be in force."""
    return AnchorModel.of(head.pki.take_anchor_list(wish.crl.encode(), who=caller.name))


@router.delete("/anchors/{fingerprint}", responses=errors(404))
def remove_anchor(head: Head, caller: Admin, fingerprint: Fingerprint) -> AnchorModel:
    """Trust a manufacturer no longer; devices that have registered stay."""
    return AnchorModel.of(head.pki.remove_anchor(fingerprint, who=caller.name))


@router.get("/certificates", responses=errors(400, 409))
def certificates(
    head: Head,
    caller: Viewer,
    *,
    kind: CertificateKind | None = None,
    subject: Annotated[str | None, Query(max_length=64)] = None,
    revoked: bool | None = None,
    expired: Annotated[
        bool | None, Query(description="Whether their time is over, revoked or not.")
    ] = None,
    ending_days: Annotated[
        float | None, Query(ge=0, le=36500, description="Good now, and not after so many days.")
    ] = None,
    after: After = None,
    limit: Limit = 100,
) -> CertificatePage:
    """Return the certificates that were issued, the last first."""
    del caller
    page = head.pki.certificates(
        kind=kind,
        subject=subject,
        revoked=revoked,
        expired=expired,
        ending_days=ending_days,
        after=after,
        limit=limit,
    )
    now = head.wall.now()
    return CertificatePage(
        items=[CertificateModel.of(record, now) for record in page.items], next=page.next
    )


@router.get("/certificates/{serial}", responses=errors(404))
def certificate(head: Head, caller: Viewer, serial: Serial) -> CertificateModel:
    """Return one certificate."""
    del caller
    return CertificateModel.of(head.pki.certificate(serial_number(serial)), head.wall.now())


@router.post("/certificates/{serial}/revoke", responses=errors(400, 404))
def revoke(head: Head, caller: Admin, serial: Serial, revocation: Revocation) -> CertificateModel:
    """Revoke a certificate for good: from now on nobody gets in with it."""
    number, now = serial_number(serial), head.wall.now()
    why = reason(revocation.why)
    head.pki.revoke(number, revocation.reason, when=now, who=caller.name, why=why)
    return CertificateModel.of(head.pki.certificate(number), now)


@router.post("/operators", status_code=status.HTTP_201_CREATED, responses=errors(400, 403))
def issue_operator(head: Head, caller: Admin, wish: OperatorRequest) -> IssuedModel:
    """Issue a certificate for an operator, whose private key stays where it was made."""
    key = requested_key(wish.request.encode())
    issued = head.pki.issue_operator(wish.name, key, who=caller.name, now=head.wall.now())
    return IssuedModel(serial=f"{issued.serial:x}", chain=issued.pem().decode())
