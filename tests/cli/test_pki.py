"""``openami pki`` beside a head-end that does not run."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from openami.cli.main import main
from openami.core.errors import StoreError
from openami.crypto.certificates import Identity
from openami.crypto.requests import make_request
from openami.crypto.revocation import make_crl
from openami.headend.offline import Offline, open_offline
from openami.headend.security.authorities import DAY, lasting, new_key
from openami.headend.settings import HeadendSettings
from openami.store.vault import FileVault
from openami.transport.clock import SystemClock


@pytest.fixture
def state(tmp_path: Path) -> Path:
    with open_offline(HeadendSettings(state=tmp_path / "state")) as home:
        home.registry.enroll_dcu("D1", who="test")
    return tmp_path / "state"


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, Any]]:
    """Return what a command prints with --json."""
    assert main(["pki", *map(str, arguments), "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_authorities_are_shown(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = said(capsys, "show", "--state", state)
    assert [row["authority"] for row in shown] == ["root", "devices", "servers", "operators"]
    root = x509.load_pem_x509_certificate((state / "ca.pem").read_bytes())
    assert shown[0]["fingerprint"] == root.fingerprint(root.signature_hash_algorithm).hex()  # type: ignore[arg-type] # ECDSA has one
    assert main(["pki", "show", "--state", str(state)]) == 0
    assert "14599" in capsys.readouterr().out


def test_an_authority_is_followed(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = ("--state", str(state))
    assert main(["pki", "follow", "devices", *here]) == 2  # no reason
    assert main(["pki", "follow", "root", "--why", "old", *here]) == 2
    assert main(["pki", "follow", "devices", "--why", "old", *here]) == 0
    assert "devices-2 signs from now on" in capsys.readouterr().err
    assert said(capsys, "follow", "servers", "--why", "old", *here) == [{"authority": "servers-2"}]
    shown = [row["authority"] for row in said(capsys, "show", *here)]
    assert shown == ["root", "devices", "devices-2", "servers", "servers-2", "operators"]
    believed = x509.load_pem_x509_certificates((state / "clients.pem").read_bytes())
    assert len(believed) == 2
    for authority in ("devices", "devices-2"):
        out = tmp_path / f"{authority}.crl"
        assert main(["pki", "crl", authority, "--out", str(out), *here]) == 0
        issuer = x509.load_der_x509_crl(out.read_bytes()).issuer
        assert issuer == believed[authority == "devices-2"].subject
    assert main(["pki", "crl", "nobody", "--out", str(tmp_path / "no"), *here]) != 0


def test_what_follows_is_in_the_audit_log_before_its_key_is_there(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def log(home: Offline) -> list[tuple[str, str]]:
        return [(e.what, e.why) for e in home.audit.list().items if e.subject == "pki"]

    def cut(*_: object) -> None:
        raise StoreError("the power is cut")

    settings = HeadendSettings(state=state)
    with open_offline(settings) as home, monkeypatch.context() as patch:
        patch.setattr(FileVault, "put", cut)
        with pytest.raises(StoreError):
            home.follow("devices", who="anna", why="old")
        assert log(home) == [("authority.making devices-2", "old")]
        assert "devices-2" not in home.pki.authorities()
    with open_offline(settings) as home:
        home.follow("devices", who="anna", why="old")
        assert sorted(log(home)) == [
            ("authority.made devices-2", "old"),
            ("authority.making devices-2", "old"),
            ("authority.making devices-2", "old"),
        ]


def test_what_is_not_there_is_told_with_where_to_look(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = ["--state", str(state)]
    for serial in ("zzz", "5c0ffee1"):
        assert main(["pki", "revoke", serial, "--why", "stolen", *here]) == 6
        assert "hint: openami pki list" in capsys.readouterr().err
    assert main(["pki", "crl", "nonsense", "--out", str(tmp_path / "crl"), *here]) == 6
    told = capsys.readouterr().err
    assert "'nonsense'" in told
    assert "hint: openami pki show" in told
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("nothing")
    for command in (["add", "Example Works"], ["crl"]):
        assert main(["pki", "anchors", *command, str(wrong), *here]) == 2
        assert f"{wrong}: " in capsys.readouterr().err


def test_a_certificate_is_revoked(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = ("--state", state)
    (made,) = said(capsys, "list", "--kind", "device", *here)
    assert (made["subject"], made["revoked"]) == ("D1", None)
    assert said(capsys, "list", "--ending", 2000, *here) == [made]
    assert said(capsys, "list", "--ending", 30, *here) == []
    with open_offline(HeadendSettings(state=state)) as home:
        past = SystemClock().now() - 30 * DAY
        home.pki.issue_device("D0", new_key().public_key(), now=past, days=1)
    (over,) = said(capsys, "list", "--expired", *here)
    assert (over["subject"], over["days_left"], over["revoked"]) == ("D0", 0, None)
    assert said(capsys, "list", "--kind", "device", "--unexpired", *here) == [made]
    assert len(said(capsys, "list", "--kind", "device", *here)) == 2
    assert main(["pki", "list", "--expired", "--ending", "5", "--state", str(state)]) == 2
    assert "request.expired" in capsys.readouterr().err
    revoke = ["pki", "revoke", made["serial"], "--reason", "keyCompromise", "--state", str(state)]
    assert main(revoke) == 2
    assert main([*revoke, "--why", "stolen"]) == 0
    (gone,) = said(capsys, "list", "--revoked", *here)
    assert (gone["serial"], gone["days_left"], gone["reason"]) == (
        made["serial"],
        0,
        "keyCompromise",
    )
    out = tmp_path / "devices.crl"
    assert main(["pki", "crl", "devices", "--out", str(out), "--state", str(state)]) == 0
    listed = x509.load_der_x509_crl(out.read_bytes())
    assert [f"{entry.serial_number:x}" for entry in listed] == [made["serial"]]


def test_a_manufacturer_is_trusted(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pki", "maker", str(tmp_path / "maker"), "--name", "Example Works"]) == 0
    anchors, here = ["pki", "anchors"], ["--state", str(state)]
    assert main([*anchors, "list", *here]) == 0
    assert "manufacturer" in capsys.readouterr().out
    anchor = str(tmp_path / "maker" / "anchor.pem")
    assert main([*anchors, "add", "Example Works", anchor, *here]) == 0
    root = Identity.from_pem((tmp_path / "maker" / "maker.pem").read_bytes())
    validity = lasting(5, now=SystemClock().now())
    crl = make_crl(root, [], number=1, validity=validity)
    (tmp_path / "crl.pem").write_bytes(crl.public_bytes(Encoding.PEM))
    assert main([*anchors, "crl", str(tmp_path / "crl.pem"), *here]) == 0
    capsys.readouterr()
    (trusted,) = said(capsys, "anchors", "list", *here)
    assert trusted["manufacturer"] == "Example Works"
    assert trusted["list_ends"] is not None
    assert main([*anchors, "remove", trusted["fingerprint"], *here]) == 0
    assert said(capsys, "anchors", "list", *here) == []


def test_an_operator_gets_a_certificate(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, here = tmp_path / "anna", ["--state", str(state)]
    out.mkdir()
    (out / "key.pem").write_text("of last year, for all to read")
    (out / "key.pem").chmod(0o644)
    assert main(["pki", "operator", "anna", "--out", str(out), *here]) == 0
    identity = Identity.from_pem(
        (out / "key.pem").read_bytes() + (out / "certificate.pem").read_bytes()
    )
    assert identity.certificate.subject.rfc4514_string() == "CN=anna"
    assert stat.S_IMODE((out / "key.pem").stat().st_mode) == 0o600
    key = new_key()
    request = x509.load_der_x509_csr(make_request("bob", key)).public_bytes(Encoding.PEM)
    (tmp_path / "bob.csr").write_bytes(request)
    other = ["--out", str(tmp_path / "bob"), "--request", str(tmp_path / "bob.csr")]
    assert main(["pki", "operator", "bob", *other, *here]) == 0
    assert [path.name for path in (tmp_path / "bob").iterdir()] == ["certificate.pem"]
    made = said(capsys, "list", "--kind", "operator", *here)
    assert sorted(row["subject"] for row in made) == ["anna", "bob"]


def test_what_is_needed_next_is_told_in_json(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What one command prints is what the next one is given."""
    here, out, maker = ("--state", state), tmp_path / "anna", tmp_path / "maker"
    (made,) = said(capsys, "operator", "anna", "--out", out, *here)
    assert Path(made.pop("folder")) == out
    certificate = x509.load_pem_x509_certificate((out / "certificate.pem").read_bytes())
    assert int(made["serial"], 16) == certificate.serial_number
    assert said(capsys, "list", "--subject", "anna", *here) == [made]
    (gone,) = said(capsys, "revoke", made["serial"], "--why", "left us", *here)
    assert said(capsys, "list", "--subject", "anna", *here) == [gone]
    assert gone["revoked"] is not None

    assert main(["pki", "maker", str(maker), "--name", "Example Works"]) == 0
    root = Identity.from_pem((maker / "maker.pem").read_bytes())
    crl = make_crl(root, [], number=1, validity=lasting(5, now=SystemClock().now()))
    (tmp_path / "crl.pem").write_bytes(crl.public_bytes(Encoding.PEM))
    for command in (("add", "Example Works", maker / "anchor.pem"), ("crl", tmp_path / "crl.pem")):
        (anchor,) = said(capsys, "anchors", *command, *here)
        assert said(capsys, "anchors", "list", *here) == [anchor]
        assert (anchor["list_ends"] is not None) is (command[0] == "crl")
    assert said(capsys, "anchors", "remove", anchor["fingerprint"], *here) == [anchor]


def test_there_must_be_an_installation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pki", "show", "--state", str(tmp_path / "none")]) == 2
    assert "config.installation" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
