"""``openami firmware`` as a maker types it; imgtool is the judge of what it builds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.support.firmware import image_key, imgtool, imgtool_signed, private_pem

from openami.cli.main import main
from openami.firmware.image import Image
from openami.firmware.payload import Payload
from openami.firmware.verify import check_signature
from openami.meter.maker import EXPECTED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Typed = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Typed:
    """Return what runs ``openami firmware`` in a folder with a payload and a vendor's key."""
    monkeypatch.chdir(tmp_path)
    private_pem(tmp_path)
    (tmp_path / "payload.bin").write_bytes(b"firmware" * 100)

    def run(*arguments: str) -> tuple[int, list[str], str]:
        status = main(["firmware", *arguments])
        out, err = capsys.readouterr()
        return status, out.splitlines(), err

    return run


BUILD = ("build", "payload.bin", "--version", "1.4.2", "--counter", "3", "--hardware", "rev B")


def test_what_is_built_and_signed_imgtool_verifies(typed: Typed, tmp_path: Path) -> None:
    status, _, said = typed(*BUILD, "--needs", "1.2.0", "--key", "vendor.pem", "--out", "a.img")
    assert (status, said.split(",")[0]) == (0, "a.img: 1.4.2")
    assert "Image was correctly validated" in imgtool("verify", "-k", "vendor.pem", "a.img")
    image = Image.decode((tmp_path / "a.img").read_bytes())
    assert (image.counter, image.hardware) == (3, ("rev B",))
    assert image.dependencies[0].version == image.version.parse("1.2.0")


def test_signing_apart_gives_the_same_image(typed: Typed, tmp_path: Path) -> None:
    assert typed(*BUILD, "--key", "vendor.pem", "--out", "a.img")[0] == 0
    assert "not signed yet" in typed(*BUILD, "--out", "u.img")[2]
    assert typed("verify", "u.img", "--key", "vendor.pem")[0] == 3
    assert typed("sign", "u.img", "--key", "vendor.pem", "--out", "b.img")[0] == 0
    assert (tmp_path / "b.img").read_bytes() == (tmp_path / "a.img").read_bytes()
    private_pem(tmp_path, "other")
    assert typed("sign", "a.img", "--key", "other.pem", "--out", "c.img")[0] == 0
    check_signature(Image.decode((tmp_path / "c.img").read_bytes()), [image_key("other")])
    status, _, said = typed("sign", "payload.bin", "--key", "vendor.pem", "--out", "d.img")
    assert (status, said.splitlines()[-1].split(":")[0]) == (3, "error[firmware.magic]")
    assert not (tmp_path / "d.img").exists()


def test_verify_says_what_a_meter_would(typed: Typed, tmp_path: Path) -> None:
    typed(*BUILD, "--key", "vendor.pem", "--out", "a.img")
    public = image_key().public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "vendor.pub").write_bytes(public)
    right = ("verify", "a.img", "--key", "vendor.pub")
    assert typed(*right)[0] == 0
    status, out, _ = typed(*right, "--hardware", "rev B", "--counter", "3", "--json")
    assert (status, json.loads(out[0])["version"]) == (0, "1.4.2")
    for arguments, code in (
        ((*right, "--hardware", "rev C"), "firmware.hardware"),
        ((*right, "--hardware", "rev B", "--counter", "4"), "firmware.counter"),
    ):
        status, _, said = typed(*arguments)
        assert (status, said.split(":")[0]) == (4, f"error[{code}]")
    private_pem(tmp_path, "other")
    assert typed("verify", "a.img", "--key", "other.pem")[2].startswith("error[firmware.key]")
    octets = bytearray((tmp_path / "a.img").read_bytes())
    octets[100] ^= 1
    (tmp_path / "a.img").write_bytes(octets)
    assert typed(*right)[2].startswith("error[firmware.hash]")


def test_inspect_tells_of_images_of_imgtool(typed: Typed, tmp_path: Path) -> None:
    octets = imgtool_signed(
        tmp_path, b"x" * 99, "--key", "vendor.pem", "--version", "2.0.1", "--header-size", 32,
        "--security-counter", 7, "--custom-tlv", "0x00a0", "OA-1P",
    )  # fmt: skip
    (tmp_path / "theirs.img").write_bytes(octets)
    status, out, _ = typed("inspect", "theirs.img", "--json")
    told = json.loads(out[0])
    assert (status, told["version"], told["counter"], told["hardware"]) == (
        0,
        "2.0.1",
        7,
        ["OA-1P"],
    )
    assert told["hash_right"]
    assert told["key"] == image_key().id.hex()
    status, out, _ = typed("inspect", "theirs.img")
    assert (status, out[0].split(), out[3].split()) == (0, ["what", "value"], ["counter", "7"])
    status, _, said = typed("inspect", "vendor.pem")
    assert (status, said.split(":")[0]) == (3, "error[firmware.magic]")
    typed(*BUILD, "--out", "unsigned.img")
    status, _, said = typed("inspect", "unsigned.img")
    assert (status, said.split(":")[0]) == (3, "error[firmware.cut]")
    assert "signed first" in said


def test_an_application_is_wrapped_for_our_meters(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "application.py").write_text("def start(hardware): ...\n")
    status, _, said = typed(
        "build", "application.py", "--name", "openami", "--version", "1.2.3", "--counter", "1",
        "--hardware", "OA1-100", "--hardware", "OA3-100", "--trial", "30", "--key", "vendor.pem",
        "--out", "meter.img",
    )  # fmt: skip
    assert status == 0, said
    about = Payload.of(Image.decode((tmp_path / "meter.img").read_bytes())).about
    assert (about.identifier, about.hardware) == ("openami-1.2.3", ("OA1-100", "OA3-100"))
    assert (about.self_test.trial_s, about.self_test.objects) == (30, EXPECTED)
    told = json.loads(typed("inspect", "meter.img", "--json")[1][0])
    assert told["application"] == "openami-1.2.3"


def test_a_delta_makes_the_new_file_of_the_old(typed: Typed, tmp_path: Path) -> None:
    old = bytes(range(256)) * 200
    (tmp_path / "old").write_bytes(old)
    (tmp_path / "new").write_bytes(old[:9] + b"new" + old[9:])
    status, out, _ = typed("delta", "old", "new", "--out", "d", "--json")
    assert (status, json.loads(out[0])["octets"] < 2000) == (0, True)
    assert json.loads(typed("inspect", "d", "--json")[1][0])["form"] == "delta"
    assert typed("delta", "old", "d", "--apply", "--out", "made")[0] == 0
    assert (tmp_path / "made").read_bytes() == (tmp_path / "new").read_bytes()
    status, _, said = typed("delta", "new", "d", "--apply", "--out", "none")
    assert (status, said.split(":")[0]) == (4, "error[firmware.delta.source]")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((*BUILD[:3], "1.4", *BUILD[4:]), "config.image"),
        ((*BUILD[:-1], ""), "config.image"),
        ((*BUILD, "--depends", "x=1.0.0"), "config.image"),
        ((*BUILD, "--key", "payload.bin"), "config.firmware-key"),
        ((*BUILD, "--name", "no token"), "config.image"),
    ],
)
def test_slips_are_told(typed: Typed, arguments: tuple[str, ...], code: str) -> None:
    status, _, said = typed(*arguments, "--out", "a.img")
    assert (status, said.split(":")[0]) == (2, f"error[{code}]")
