"""The release shelf: releases on their way to devices, vendors' keys, the repository."""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response, status
from fastapi.responses import FileResponse
from starlette.types import Scope

from openami.core.clock import utc
from openami.firmware.keys import ImageKey
from openami.firmware.manifest import ReleaseKind
from openami.firmware.releases import ReleaseState
from openami.firmware.repository import RoleKeys
from openami.firmware.shelf import Shelved
from openami.headend.errors import RequestError
from openami.headend.services import Services
from openami.web.api import API
from openami.web.api.dependencies import Admin, After, Head, Limit, OperatorCaller, Viewer, errors
from openami.web.api.models.releases import (
    DifferenceModel,
    DocumentEnd,
    LettingOut,
    NewVendorKey,
    ReleaseDetail,
    ReleaseModel,
    ReleasePage,
    RepositoryModel,
    RootDraft,
    SignedDocuments,
    VendorKeyModel,
    Withdrawal,
    Word,
)

router = APIRouter(prefix=API, tags=["releases"])

PATH: Final = "/releases"
TAR: Final = "application/x-tar"

Number = Annotated[int, Path(ge=1, le=2**31, examples=[7])]
FileName = Annotated[str, Path(max_length=120)]


def is_stream(scope: Scope) -> bool:
    """Tell whether a request is one whose body is taken piece by piece, as an upload's is."""
    path: str = scope["path"]
    return scope["method"] == "POST" and path.endswith(f"/v1{PATH}")


@router.post(
    PATH,
    status_code=status.HTTP_201_CREATED,
    responses=errors(400, 413, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {TAR: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def upload(
    request: Request,
    head: Head,
    caller: OperatorCaller,
    response: Response,
    why: Annotated[str, Query(max_length=500)] = "",
) -> ReleaseDetail:
    """Take in a release: a tar of `manifest.json` and the files that it names."""
    shelved = await _receive(request, head, caller.name, why)
    response.headers["Location"] = f"/api/v1{PATH}/{shelved.number}"
    return ReleaseDetail.of(shelved)


@router.get(PATH, responses=errors(400))
def releases(
    head: Head,
    caller: Viewer,
    *,
    state: ReleaseState | None = None,
    kind: ReleaseKind | None = None,
    name: Annotated[str | None, Query(max_length=64)] = None,
    after: After = None,
    limit: Limit = 100,
) -> ReleasePage:
    """Return releases, those uploaded last first."""
    del caller
    page = head.firmware.shelf.list(state=state, kind=kind, name=name, after=after, limit=limit)
    return ReleasePage(items=[ReleaseModel.of(one) for one in page.items], next=page.next)


@router.get(PATH + "/{number}", responses=errors(404))
def release(head: Head, caller: Viewer, number: Number) -> ReleaseDetail:
    """Return one release with its manifest and what was done to it."""
    del caller
    return ReleaseDetail.of(head.firmware.shelf.get(number))


@router.get(PATH + "/{number}/files/{name}", responses=errors(404), response_class=FileResponse)
def release_file(head: Head, caller: Viewer, number: Number, name: FileName) -> FileResponse:
    """Return a file that came with a release."""
    del caller
    path = head.firmware.shelf.file(number, name)
    return FileResponse(path, media_type="application/octet-stream", filename=name)


@router.get(PATH + "/{number}/diff/{other}", responses=errors(404))
def diff(head: Head, caller: Viewer, number: Number, other: Number) -> list[DifferenceModel]:
    """Return what the manifest of the second release says otherwise than that of the first."""
    del caller
    return [DifferenceModel.of(each) for each in head.firmware.shelf.diff(number, other)]


@router.post(PATH + "/{number}/verify", responses=errors(404, 409))
def verify(head: Head, caller: OperatorCaller, number: Number) -> ReleaseDetail:
    """Check a release: it is verified, or refused with every reason against it."""
    return ReleaseDetail.of(head.firmware.shelf.verify(number, who=caller.name))


@router.post(PATH + "/{number}/approve", responses=errors(404, 409))
def approve(head: Head, caller: OperatorCaller, number: Number, word: Word) -> ReleaseDetail:
    """Approve a release that somebody else uploaded."""
    return ReleaseDetail.of(head.firmware.shelf.approve(number, who=caller.name, why=word.why))


@router.post(PATH + "/{number}/refuse", responses=errors(404, 409))
def refuse(head: Head, caller: OperatorCaller, number: Number, word: Word) -> ReleaseDetail:
    """Turn a release down."""
    return ReleaseDetail.of(head.firmware.shelf.refuse(number, who=caller.name, why=word.why))


@router.post(PATH + "/{number}/release", responses=errors(404, 409))
def let_out(head: Head, caller: OperatorCaller, number: Number, wish: LettingOut) -> ReleaseDetail:
    """Offer an approved release to devices."""
    made = head.firmware.shelf.release(
        number, who=caller.name, why=wish.why, targets=_octets(wish.targets)
    )
    return ReleaseDetail.of(made)


@router.post(PATH + "/{number}/withdraw", responses=errors(404, 409))
def withdraw(head: Head, caller: OperatorCaller, number: Number, wish: Withdrawal) -> ReleaseDetail:
    """Offer a release no more: nobody gets its files from now on, its campaigns stop."""
    made = head.firmware.shelf.withdraw(
        number, who=caller.name, why=wish.why, targets=_octets(wish.targets)
    )
    return ReleaseDetail.of(made)


@router.get(PATH + "/{number}/draft", responses=errors(404, 409), response_class=Response)
def draft(head: Head, caller: OperatorCaller, number: Number) -> Response:
    """Return the list of files with an approved release's, for its keepers to sign."""
    del caller
    return Response(head.firmware.shelf.draft(number), media_type="application/json")


@router.get("/release-keys", responses=errors())
def keys(head: Head, caller: Viewer) -> list[VendorKeyModel]:
    """Return the keys that vendors sign meter images with."""
    del caller
    return [VendorKeyModel.of(key) for key in head.firmware.keys.list()]


@router.post("/release-keys", status_code=status.HTTP_201_CREATED, responses=errors(400))
def add_key(head: Head, caller: Admin, new: NewVendorKey) -> VendorKeyModel:
    """Believe meter images that are signed with a key."""
    pem = new.key.encode()
    made = head.firmware.keys.add(new.vendor, pem, product=new.product, who=caller.name)
    return VendorKeyModel.of(made)


@router.delete("/release-keys/{key}", status_code=status.HTTP_204_NO_CONTENT, responses=errors(404))
def remove_key(head: Head, caller: Admin, key: Annotated[str, Path(max_length=64)]) -> None:
    """Believe new images of a key no longer; what was verified stays so."""
    head.firmware.keys.remove(key, who=caller.name)


@router.get("/repository", responses=errors())
def repository(head: Head, caller: Viewer) -> RepositoryModel:
    """Return what devices verify packages by, and until when each document is good."""
    del caller
    return _repository(head)


@router.get("/repository/documents/{name}", responses=errors(404), response_class=Response)
def document(head: Head, caller: Viewer, name: Annotated[str, Path(max_length=32)]) -> Response:
    """Return a document as devices get it; `1.root.json` is what factories put into DCUs."""
    del caller
    return Response(head.firmware.publisher.document(name), media_type="application/json")


@router.get("/repository/draft", responses=errors(409), response_class=Response)
def draft_list(head: Head, caller: Admin) -> Response:
    """Return the list of the same files, for its keepers to sign anew."""
    del caller
    return Response(head.firmware.shelf.draft(None), media_type="application/json")


@router.post("/repository/root-draft", responses=errors(400), response_class=Response)
def draft_root(head: Head, caller: Admin, wish: RootDraft) -> Response:
    """Return the next root, for its keepers to sign."""
    del caller
    made = head.firmware.publisher.draft_root(
        _role(wish.root, wish.root_threshold),
        _role(wish.targets, wish.targets_threshold),
        days=wish.days,
    )
    return Response(made, media_type="application/json")


@router.post("/repository/documents", responses=errors(409))
def take_documents(head: Head, caller: Admin, signed: SignedDocuments) -> RepositoryModel:
    """Publish a root, or a list of the same files, that keepers signed."""
    head.firmware.publisher.take(
        root=_octets(signed.root), targets=_octets(signed.targets), who=caller.name
    )
    return _repository(head)


async def _receive(request: Request, head: Services, who: str, why: str) -> Shelved:
    """Take a body to the disk piece by piece, and from there onto the shelf."""
    most, taken = head.settings.release_octets, 0
    if request.headers.get("content-type", "").partition(";")[0].strip() != TAR:
        raise RequestError(f"a release is uploaded as {TAR}", code="request.type")
    incoming = await asyncio.to_thread(head.firmware.blobs.incoming)
    try:
        async for piece in request.stream():
            taken += len(piece)
            if taken > most:
                raise RequestError(f"a release has at most {most} octets", code="request.too-large")
            await asyncio.to_thread(incoming.write, piece)
        await asyncio.to_thread(incoming.flush)
        return await asyncio.to_thread(head.firmware.shelf.upload, incoming.path, who=who, why=why)
    finally:
        await asyncio.to_thread(incoming.close)


def _repository(head: Services) -> RepositoryModel:
    publisher = head.firmware.publisher
    ends = publisher.ends().items()
    return RepositoryModel(
        offline=publisher.offline,
        documents=[
            DocumentEnd(role=role, version=version, ends=utc(end)) for role, (version, end) in ends
        ],
        online_keys={role: pem.decode() for role, pem in publisher.online_keys().items()},
    )


def _role(keys: list[str], threshold: int) -> RoleKeys:
    return RoleKeys(tuple(ImageKey.from_pem(key.encode()).public for key in keys), threshold)


def _octets(text: str | None) -> bytes | None:
    return None if text is None else text.encode()
