"""``openami c1222 test``: reports, progress and exit status."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from tests.support.c1222_defects import KEY, PASSWORD, HealthyNode, WrongInvocationId
from tests.transport.certificates import Authority

from openami.cli.c1222_test import Progress
from openami.cli.main import main
from openami.transport.c1222 import Endpoint, EndpointConfig
from openami.transport.clock import SystemClock
from openami.transport.dtls import DtlsContext
from openami.transport.tls import server_context

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = EndpointConfig()
OPTIONS = ("--node", ".123.8437", "--timeout", "20")


async def run_test(
    node: HealthyNode,
    capsys: pytest.CaptureFixture[str],
    *arguments: str,
    inside: EndpointConfig = PLAIN,
) -> tuple[int, str, str]:
    """Return the status, the data and the progress of a test of ``node``."""
    config = replace(inside, listen=(("127.0.0.1", 0),))
    async with Endpoint(node, config, clock=SystemClock()) as endpoint:
        where = f"127.0.0.1:{endpoint.listening[0].port}"
        given = ["c1222", "test", where, *OPTIONS, *arguments]
        status = await asyncio.to_thread(main, given)
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def secrets(tmp_path: Path) -> list[str]:
    keys, password = tmp_path / "keys.toml", tmp_path / "password"
    keys.write_text(f'2 = "{KEY.hex()}"\n')
    password.write_bytes(PASSWORD + b"\n")
    return ["--key-file", str(keys), "--password-file", str(password)]


async def test_a_healthy_node(
    secrets: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html, junit = tmp_path / "report.html", tmp_path / "report.xml"
    files = ["--html", str(html), "--junit", str(junit)]
    status, out, err = await run_test(HealthyNode(), capsys, *secrets, *files)
    assert (status, " 0 fail, " in out) == (0, True), out
    assert "mode 2, key 2" in out
    assert "Read              pass" in out
    assert "identify: pass" in err.splitlines()
    assert "<h1>C12.22 conformance of .123.8437</h1>" in html.read_text()
    assert ET.parse(junit).getroot().attrib["failures"] == "0"
    for text in (out, err, html.read_text(), junit.read_text()):
        assert KEY.hex() not in text.lower().replace(" ", "").replace("\n", "")
        assert PASSWORD.decode() not in text


async def test_findings_and_services_over_datagrams(capsys: pytest.CaptureFixture[str]) -> None:
    only = ["--only", "message", "--udp", "--json"]
    status, out, _ = await run_test(WrongInvocationId(), capsys, *only)
    found = json.loads(out)
    assert status == 1
    assert found["address"].endswith("/udp")
    assert [each["code"] for each in found["cases"] if each["verdict"] == "fail"] == [
        "c1222.test.invocation-id"
    ]
    assert {each["service"] for each in found["cases"]} == {"Message"}


@pytest.mark.parametrize("carrier", ["tls", "dtls"])
async def test_a_node_inside_tls_and_dtls(
    carrier: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("node")
    inside = EndpointConfig(
        tls=server_context(pair.certificate, pair.key),
        dtls=DtlsContext.server(pair.certificate, pair.key),
    )
    options = ["--tls", "--ca", str(authority.certificate), "--only", "Identify", "--json"]
    if carrier == "dtls":
        options.append("--udp")
    status, out, err = await run_test(HealthyNode(), capsys, *options, inside=inside)
    assert status == 0, err
    found = json.loads(out)
    assert found["address"].endswith(f"/{carrier}")
    assert [each["verdict"] for each in found["cases"]] == ["pass"]
    stranger = await run_test(HealthyNode(), capsys, *options[:1], *options[3:], inside=inside)
    assert stranger[0] == 2
    assert "error[transport.tls]" in stranger[2]


def wrong(*arguments: str) -> int:
    return main(["c1222", "test", *arguments])


def test_nobody_there_and_wrong_options(
    tmp_path: Path, secrets: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("127.0.0.1:1", "--node", ".1")
    assert wrong(*where) == 2
    assert "error[transport.refused]" in capsys.readouterr().err
    assert wrong("127.0.0.1", "--node", ".1") == 2
    assert wrong("127.0.0.1:1", "--node", "x") == 2
    assert wrong(*where, "--mode", "1") == 2
    assert wrong(*where, "--ca", "ca.pem") == 2
    assert wrong(*where, "--tls", "--certificate", "own.pem") == 2
    assert wrong(*where, "--only", "frobnicate") == 2
    assert wrong(*where, *secrets, "--key-id", "7") == 2
    long = tmp_path / "long"
    long.write_text("x" * 21)
    assert wrong(*where, "--password-file", str(long)) == 2
    assert wrong(*where, "--password-file", str(tmp_path / "none")) == 2
    assert "x" * 21 not in capsys.readouterr().err


def test_progress_is_one_line_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    class Seen:
        results = (1, 2)
        cases = (1, 2, 3)
        current = None

    progress = Progress(terminal=True)
    progress(Seen())  # type: ignore[arg-type]  # what it looks at is there
    progress.end()
    # Where stderr is no terminal, click leaves out what erases the line.
    assert capsys.readouterr().err == "\r2/3 \r"
