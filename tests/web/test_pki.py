"""Certificates over the REST API, and what becomes of revoked and expired ones on the wire."""

import asyncio
import time
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tests.support.headend import client_with, dcu_client, operator_client, settings_in
from tests.support.pki import authorities_of, issue_by_hand

from openami.crypto.certificates import Validity, make_root
from openami.crypto.requests import make_request
from openami.crypto.revocation import make_crl
from openami.fleet.certificates import CertificateKind
from openami.headend.offline import open_offline
from openami.headend.security.authorities import lasting, new_key
from openami.headend.server import Running

WHY = {"why": "stolen from its pole"}


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def serial_of(running: Running, subject: str = "D1") -> str:
    (record,) = running.services.pki.certificates(subject=subject).items
    return f"{record.serial:x}"


async def test_a_revoked_device_is_out_at_once(
    running: Running, dcu: httpx.AsyncClient, admin: httpx.AsyncClient, operator: httpx.AsyncClient
) -> None:
    assert (await dcu.get("/device/v1/cursors")).status_code == 200
    path = f"/api/v1/pki/certificates/{serial_of(running)}"
    wish = {"reason": "keyCompromise", **WHY}
    assert code(await operator.post(f"{path}/revoke", json=wish)) == (403, "security.role")
    answer = await admin.post(f"{path}/revoke", json=wish)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["reason"], told["days_left"]) == ("keyCompromise", 0)
    # The connection is the one that was open before.
    for _ in range(2):
        refused = await dcu.get("/device/v1/cursors")
        assert code(refused) == (403, "certificate.revoked")
    assert code(await dcu.post("/dm", content=b"x")) == (403, "certificate.revoked")
    (alarm,) = running.services.alarms.list().items
    assert (alarm.code, alarm.subject) == ("certificate.revoked", "dcu-D1")


async def test_another_devices_session_is_unaffected(
    running: Running, dcu: httpx.AsyncClient, tmp_path: Path
) -> None:
    async with dcu_client(running, tmp_path, "D2") as other:
        assert (await other.get("/device/v1/cursors")).status_code == 200
        running.services.pki.revoke(
            int(serial_of(running, "D2"), 16), "superseded", when=time.time(), who="anna"
        )
        assert code(await other.get("/device/v1/cursors")) == (403, "certificate.revoked")
        assert (await dcu.get("/device/v1/cursors")).status_code == 200


async def test_what_is_revoked_beside_a_head_end_is_out_soon(
    running: Running, dcu: httpx.AsyncClient, tmp_path: Path
) -> None:
    assert (await dcu.get("/device/v1/cursors")).status_code == 200
    number = int(serial_of(running), 16)

    def beside() -> None:
        with open_offline(settings_in(tmp_path)) as offline:
            offline.pki.revoke(number, "superseded", when=time.time(), who="anna", why="test")

    await asyncio.to_thread(beside)
    async with asyncio.timeout(60):
        while (answer := await dcu.get("/device/v1/cursors")).status_code == 200:
            await asyncio.sleep(0.05)
    assert code(answer) == (403, "certificate.revoked")


async def test_an_expired_certificate_opens_no_connection(
    running: Running, dcu: httpx.AsyncClient, tmp_path: Path
) -> None:
    devices = authorities_of(running.home).devices
    past = Validity(time.time() - 100, time.time() - 10)
    chain, key = issue_by_hand(devices, "D1", now=0, validity=past)
    async with client_with(running, tmp_path, chain, key) as late:
        with pytest.raises(httpx.TransportError):
            await late.get("/device/v1/cursors")


async def test_lists_of_what_is_revoked_are_public(
    running: Running, dcu: httpx.AsyncClient
) -> None:
    number = int(serial_of(running), 16)
    async with operator_client(running) as anyone:
        before = await anyone.get("/crl/devices.crl")
        assert before.headers["content-type"] == "application/pkix-crl"
        assert list(x509.load_der_x509_crl(before.content)) == []
        running.services.pki.revoke(number, "superseded", when=time.time(), who="anna")
        after = x509.load_der_x509_crl((await anyone.get("/crl/devices.crl")).content)
        assert after.get_revoked_certificate_by_serial_number(number) is not None
        devices = running.services.pki.authorities()
        key = next(iter(c for name, c in devices.items() if name == "devices")).public_key()
        assert after.is_signature_valid(key)  # type: ignore[arg-type] # an EC key, as made
        for name in ("operators", "servers", "root"):
            assert (await anyone.get(f"/crl/{name}.crl")).status_code == 200
        assert code(await anyone.get("/crl/nobody.crl")) == (404, "store.not-found")


async def test_authorities_and_certificates_are_shown(
    running: Running, dcu: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    shown = (await viewer.get("/api/v1/pki/authorities")).json()
    assert [item["name"] for item in shown] == ["root", "devices", "servers", "operators"]
    assert all(item["days_left"] > 7000 for item in shown)
    page = (await viewer.get("/api/v1/pki/certificates?kind=device")).json()
    (item,) = page["items"]
    assert (item["subject"], item["authority"], item["revoked"]) == ("D1", "devices", None)
    one = await viewer.get(f"/api/v1/pki/certificates/{item['serial']}")
    assert one.json() == {**item, "days_left": one.json()["days_left"]}
    assert code(await viewer.get("/api/v1/pki/certificates/12")) == (404, "store.not-found")
    revoke = await viewer.post(f"/api/v1/pki/certificates/{item['serial']}/revoke", json=WHY)
    assert revoke.status_code == 403
    assert not running.services.pki.is_revoked(int(item["serial"], 16))


async def test_manufacturers_are_trusted_by_administrators(
    admin: httpx.AsyncClient, operator: httpx.AsyncClient
) -> None:
    root = make_root("M", new_key(), serial=1, validity=lasting(9, now=time.time()))
    new = {"manufacturer": "M", "certificate": root.certificate_pem().decode()}
    assert (await operator.post("/api/v1/pki/anchors", json=new)).status_code == 403
    made = await admin.post("/api/v1/pki/anchors", json=new)
    assert made.status_code == 201, made.text
    assert code(await admin.post("/api/v1/pki/anchors", json=new)) == (400, "request.anchor")
    assert (await operator.get("/api/v1/pki/anchors")).json() == [made.json()]
    assert made.json()["list_ends"] is None
    crl = make_crl(root, [], number=1, validity=lasting(9, now=time.time()))
    text = crl.public_bytes(Encoding.PEM).decode()
    listed = await admin.post("/api/v1/pki/anchors/lists", json={"crl": text})
    assert listed.json()["list_ends"] is not None, listed.text
    wrong = await admin.post("/api/v1/pki/anchors/lists", json={"crl": "?"})
    assert code(wrong) == (400, "request.crl")
    path = f"/api/v1/pki/anchors/{made.json()['fingerprint']}"
    assert (await operator.delete(path)).status_code == 403
    assert (await admin.delete(path)).status_code == 200
    assert code(await admin.delete(path)) == (404, "store.not-found")


async def test_an_operators_key_stays_where_it_was_made(
    running: Running, admin: httpx.AsyncClient
) -> None:
    key = new_key()
    request = x509.load_der_x509_csr(make_request("anna", key)).public_bytes(Encoding.PEM)
    answer = await admin.post(
        "/api/v1/pki/operators", json={"name": "anna", "request": request.decode()}
    )
    assert answer.status_code == 201, answer.text
    leaf, _ = x509.load_pem_x509_certificates(answer.json()["chain"].encode())
    assert leaf.public_key() == key.public_key()
    (record,) = running.services.pki.certificates(kind=CertificateKind.OPERATOR).items
    assert f"{record.serial:x}" == answer.json()["serial"]
    wrong = await admin.post("/api/v1/pki/operators", json={"name": "anna", "request": "?"})
    assert code(wrong) == (400, "certificate.request")


async def test_an_operators_certificate_is_no_devices(
    running: Running, dcu: httpx.AsyncClient, tmp_path: Path
) -> None:
    operators = authorities_of(running.home).operators
    chain, key = issue_by_hand(operators, "D1", now=time.time())
    async with client_with(running, tmp_path, chain, key) as client:
        with pytest.raises(httpx.TransportError):
            await client.get("/device/v1/cursors")
