from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
import pytest

from openami.cli.decode import decode as decode_group
from openami.cli.decode import messages
from openami.cli.main import main
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

GET = "C001C100080000010000FF0200"
CIPHERED = "C81E3001234567411312FF935A47566827C467BC7D825C3BE4A77C3FCC056B6B"
GUEK, GAK = "000102030405060708090A0B0C0D0E0F", "D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF"
TITLE = "4D4D4D0000BC614E"
KEYS = ["--key", f"guek={GUEK}", "--key", f"gak={GAK}", "--title", TITLE]


def names(node: dict) -> set[str]:
    return {node["name"]}.union(*(names(child) for child in node.get("children", [])))


def test_an_apdu_becomes_a_tree(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "dlms", GET]) == 0
    out = capsys.readouterr().out
    assert "get-request-normal" in out
    assert "0.0.1.0.0.255 clock" in out


def test_json_deciphers_and_holds_no_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "dlms", CIPHERED, "--json", *KEYS]) == 0
    out = capsys.readouterr().out
    assert {"glo-get-request", "deciphered", "get-request-normal"} <= names(json.loads(out))
    assert "000102030405060708090A0B0C0D0E0F" not in out.upper()


def test_without_keys_it_stays_closed_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "dlms", CIPHERED]) == 0
    out = capsys.readouterr().out
    assert "security.key" in out
    assert "get-request-normal" not in out


def key_file(folder: Path, **values: str) -> list[str]:
    file = folder / "keys.toml"
    file.write_text("".join(f'{name} = "{value}"\n' for name, value in values.items()))
    return ["--key-file", str(file)]


SYNCML = b"<MgmtTree><VerDTD>1.2</VerDTD></MgmtTree>".hex()
WRAPPED = "0001 0001 0001 0020" + CIPHERED


@pytest.mark.parametrize(("framing", "octets"), [("dlms", CIPHERED), ("wrapper", WRAPPED)])
def test_a_key_file_deciphers_and_an_option_goes_over_it(
    framing: str, octets: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decode = ["decode", framing, octets]
    assert main([*decode, *key_file(tmp_path, guek=GUEK, gak=GAK, system_title=TITLE)]) == 0
    assert "get-request-normal" in capsys.readouterr().out
    wrong = key_file(tmp_path, guek=GAK, gak=GAK, system_title=TITLE[::-1])
    assert main([*decode, *wrong]) == 0
    assert "get-request-normal" not in capsys.readouterr().out
    assert main([*decode, *wrong, "--key", f"guek={GUEK}", "--title", TITLE]) == 0
    assert "get-request-normal" in capsys.readouterr().out


def test_a_title_is_wanted_to_decipher(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = key_file(tmp_path, guek=GUEK, gak=GAK)
    assert main(["decode", "dlms", CIPHERED, *keys]) == 0
    assert "get-request-normal" not in capsys.readouterr().out
    assert main(["decode", "dlms", CIPHERED, *keys, "--title", TITLE]) == 0
    assert "get-request-normal" in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "octets"), [("dlms", GET), ("syncml", SYNCML)])
def test_lines_of_one_message_are_joined(
    kind: str, octets: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "capture.txt"
    file.write_text(f"{octets[:8]}\n{octets[8:]}\n")
    assert main(["decode", kind, str(file)]) == 3
    capsys.readouterr()
    assert main(["decode", kind, str(file), "--join", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"]


CIPHERING = {"keys", "key_file", "title", "join", "as_json"}
PLAIN = {"join", "as_json"}


def test_every_option_is_tried_here() -> None:
    options = {
        name: {param.name for param in command.params if isinstance(param, click.Option)}
        for name, command in decode_group.commands.items()
    }
    ciphering = dict.fromkeys(("dlms", "hdlc", "wrapper"), CIPHERING)
    ciphering["c1222"] = CIPHERING - {"title"}
    assert options == ciphering | dict.fromkeys(("syncml", "wbxml", "notification"), PLAIN)


def test_a_file_of_lines_goes_on_after_a_bad_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "capture.txt"
    file.write_text(f"# a comment\n\nC0 01 C1\n{GET}  # good\n")
    assert main(["decode", "dlms", str(file)]) == 3
    captured = capsys.readouterr()
    assert "error[protocol.decode]: message 1" in captured.err
    assert "get-request-normal" in captured.out


def test_binary_content_is_taken_as_it_is() -> None:
    raw = bytes.fromhex("7EA0FF80")
    assert list(messages(raw, join=False)) == [raw]


def test_lines_can_be_one_run() -> None:
    assert list(messages(b"0x01 0x02\n03:04\n", join=True)) == [b"\x01\x02\x03\x04"]
    assert list(messages(b"01-02\n\n03,04", join=False)) == [b"\x01\x02", b"\x03\x04"]


def test_text_that_is_not_hexadecimal_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        list(messages(b"hello\n", join=False))
    assert caught.value.code == "decode.input"


@pytest.mark.parametrize("source", ["no such file", "GG"])
def test_a_missing_input_is_an_error(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "hdlc", source]) == 2
    assert "error[decode.input]" in capsys.readouterr().err


NOTIFICATION = "96dfbe3b29d843bf7cf77c5c06920bb302d8000000002a0866756e616d626f6c"
WBXML = bytes.fromhex("02A4016A004F03610001")
DDF = bytes.fromhex("0200006A1B2D2F2F4F4D412F2F4454442D444D2D44444620312E322F2F454E0024")


@pytest.mark.parametrize(
    ("kind", "content", "line"),
    [
        ("syncml", b'<?xml version="1.0"?>\n<Item><Data>x\n</Data></Item>', r"Data: x\n"),
        ("syncml", b"\xef\xbb\xbf<Data>cafe</Data>", "Data: cafe"),
        ("wbxml", WBXML, "Data: a"),
        ("wbxml", WBXML.hex(" ").encode(), "Data: a"),
        ("wbxml", DDF, "Node"),
        ("notification", NOTIFICATION.encode(), "server-id: funambol"),
    ],
)
def test_device_management(
    kind: str, content: bytes, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "message"
    file.write_bytes(content)
    assert main(["decode", kind, str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(each.endswith(line) for each in lines)
    assert main(["decode", kind, str(file), "--json"]) == 0
    assert {"name", "offset"} <= json.loads(capsys.readouterr().out).keys()


def test_device_management_says_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "wbxml", "02A4016A004F"]) == 3
    assert "error[protocol.decode]: message 1" in capsys.readouterr().err


# Example 8 of ANSI C12.22: a read by offset, encrypted, and its answer.
C1222 = (
    "604fa20580037bc175a60480027b04a803020103ac0fa20da00ba109800102810448f3d061be2a28288126"
    "8841d10cda76206811b36f781489a11997773e117cb07aa3aa40374a7107c50da7f799c5d4e8"
)
C1222_ANSWER = (
    "6048a20480027b04a403020103a60580037bc175a803020103ac0fa20da00ba109800102810448f3d060"
    "be1e281c811a884baee4349631ab5e56a0e6e0e90dfad558591ee4ea334cb268"
)
C1222_KEY = "01020304050607080102030405060708"


def test_c1222_by_an_option_and_by_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture, keys = tmp_path / "capture.txt", tmp_path / "keys.toml"
    capture.write_text(f"{C1222}{C1222_ANSWER}\n{C1222}\n")
    keys.write_text(f'2 = "{C1222_KEY}"\n')
    for option in (["--key", f"2={C1222_KEY}"], ["--key-file", str(keys)]):
        assert main(["decode", "c1222", str(capture), *option]) == 0
        out = capsys.readouterr().out
        assert out.count("table: 1 (ST-1)") == 2
        assert '("MANUFACTURER SN ")' in out
        assert "PASSWORD" not in out
        assert C1222_KEY not in out
    assert main(["decode", "c1222", C1222, "--json", "--key", f"2={C1222_KEY}"]) == 0
    assert {"Read offset", "password", "tag"} <= names(json.loads(capsys.readouterr().out))


def test_c1222_without_its_key_and_cut_off(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "c1222", C1222]) == 0
    assert "no key has the id 2" in capsys.readouterr().out
    assert main(["decode", "c1222", C1222[:-2]]) == 3
    assert "error[protocol.decode]: message 1" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["2", "256=" + C1222_KEY, "x=" + C1222_KEY, "2=00", "2=xx"])
def test_c1222_keys_of_the_wrong_form(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "c1222", C1222, "--key", key]) == 2
    assert C1222_KEY not in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "2 = 0102 secret"])
def test_c1222_key_files_that_are_none(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "keys.toml"
    if content is not None:
        file.write_text(content)
    assert main(["decode", "c1222", C1222, "--key-file", str(file)]) == 2
    assert "secret" not in capsys.readouterr().err
