"""What a DCU takes of DMAcc, and how it proves itself by that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.support.dcu_managed import bootstrap
from tests.support.dm_tree import ALL, Server, grant

from openami.core.errors import ConfigError
from openami.dcu.device import AccountListener, account_of, take_bootstrap
from openami.dcu.installation import Installation
from openami.omadm.auth import AuthPolicy, Scheme
from openami.omadm.objects.catalog import device_schema
from openami.omadm.tree.refusal import TreeRefusedError
from openami.omadm.tree.tree import ManagementTree

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = bootstrap("https://headend.example/dm")
HERE = "./DMAcc/1"
CLIENT, SERVER = f"{HERE}/AppAuth/1", f"{HERE}/AppAuth/2"


class Device:
    """A tree with the account of its bootstrap, in its server's hands."""

    def __init__(self, least: Scheme = Scheme.DIGEST_SHA256) -> None:
        self.allowed = AuthPolicy.down_to(least)
        self.tree = ManagementTree(device_schema())
        self.moves = 0
        self.tree.watch("./DMAcc", AccountListener(self._moved, self.allowed))
        take_bootstrap(self.tree, BLOCK, now=1.0)
        grant(self.tree, HERE, ALL)
        self.moves = 0
        self.server = Server(self.tree)

    def _moved(self) -> None:
        self.moves += 1

    def together(self, **values: str) -> str:
        """Set nodes in one Atomic; return why that was refused."""
        names = {"pref": f"{HERE}/AAuthPref", "own": CLIENT, "its": SERVER}
        visit = self.server.visit
        visit.begin()
        for name, value in values.items():
            at = names[name]
            uri = at if name == "pref" else f"{at}/AAuthType"
            assert self.server.replace(uri, value) == 200, visit.words
        try:
            visit.commit()
        except TreeRefusedError as error:
            return error.message
        return ""

    @property
    def schemes(self) -> tuple[Scheme, ...]:
        found = account_of(self.tree.root, self.allowed)
        assert found is not None
        return found.account.policy.schemes


def test_after_bootstrap_both_ends_prove_themselves_by_a_mac() -> None:
    device = Device()
    assert device.schemes == (Scheme.MAC_SHA256,)
    assert device.server.data(f"{HERE}/AAuthPref") == "HMAC"
    assert device.tree.names(f"{HERE}/AppAddr/1") == ("Addr", "AddrType")


@pytest.mark.parametrize(
    ("least", "kind", "schemes"),
    [
        (Scheme.DIGEST_SHA256, "DIGEST", (Scheme.DIGEST_SHA256,)),
        (Scheme.MAC_MD5, "HMAC", (Scheme.MAC_SHA256, Scheme.MAC_MD5)),
        (Scheme.MAC_MD5, "DIGEST", (Scheme.DIGEST_SHA256,)),
        (Scheme.DIGEST_MD5, "DIGEST", (Scheme.DIGEST_SHA256, Scheme.DIGEST_MD5)),
        (Scheme.BASIC, "BASIC", (Scheme.BASIC,)),
    ],
)
def test_the_type_that_the_server_sets_is_obeyed(
    least: Scheme, kind: str, schemes: tuple[Scheme, ...]
) -> None:
    device = Device(least)
    assert not device.together(pref=kind, own=kind, its=kind)
    assert device.schemes == schemes
    assert device.server.delete(f"{HERE}/AAuthPref") == 200  # the credentials say it, too
    assert device.schemes == schemes


@pytest.mark.parametrize(
    ("least", "kind"),
    [(Scheme.MAC_SHA256, "DIGEST"), (Scheme.DIGEST_SHA256, "BASIC"), (Scheme.DIGEST_MD5, "BASIC")],
)
def test_no_server_talks_a_device_down_below_its_own_least(least: Scheme, kind: str) -> None:
    device = Device(least)
    before = device.tree.root
    words = device.together(pref=kind, own=kind, its=kind)
    assert words == "AAuthType: weaker than this device's own settings allow"
    assert device.tree.root is before
    assert Scheme.MAC_SHA256 in device.schemes


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"pref": "X509", "own": "X509", "its": "X509"}, "knows HMAC, DIGEST, BASIC"),
        ({"pref": ""}, "no credentials of that type"),
        ({"pref": "DIGEST"}, "no credentials of that type"),
        ({"own": "DIGEST"}, "in the same way"),
        ({"own": "DIGEST", "its": "DIGEST"}, "no credentials of that type"),
    ],
)
def test_what_it_cannot_do_is_refused(values: dict[str, str], words: str) -> None:
    device = Device()
    assert words in device.together(**values)
    assert device.schemes == (Scheme.MAC_SHA256,)
    assert device.moves == 0


@pytest.mark.parametrize(
    ("command", "address", "value", "words"),
    [
        ("add", "./DMAcc/2/ServerID", "other", "one server"),
        ("replace", f"{HERE}/AppAddr/1/AddrType", "IPv4", "takes a URI"),
        ("add", f"{HERE}/AppAddr/1/Port/1/PortNbr", "8444", "part of the URI"),
        ("add", f"{HERE}/AppAddr/2/Addr", "https://b.example/dm", "one address"),
        ("replace", f"{HERE}/AppAddr/1/Addr", "http://headend.example/dm", "https only"),
        ("replace", f"{HERE}/AppAddr/1/Addr", "https://[headend/dm", "https only"),
        ("replace", f"{HERE}/AppAddr/1/Addr", "https:///dm", "https only"),
        ("replace", f"{HERE}/AppAddr/1/Addr", "", "https only"),
        ("add", f"{HERE}/PrefConRef", "./Con/1", "one connection"),
        ("add", f"{HERE}/ToConRef/1/ConRef", "./Con/1", "one connection"),
        ("add", f"{HERE}/AppAuth/3/AAuthLevel", "HTTP", "one CLCRED and one SRVCRED"),
        ("replace", f"{SERVER}/AAuthLevel", "CLCRED", "one CLCRED and one SRVCRED"),
        ("delete", f"{CLIENT}/AAuthType", None, "in the same way"),
        ("delete", CLIENT, None, "one CLCRED and one SRVCRED"),
        ("delete", f"{HERE}/AppAddr/1", None, "one address"),
        ("delete", HERE, None, "nobody could manage this device any more"),
    ],
)
def test_what_would_have_no_effect_or_leave_it_without_a_server_is_refused(
    command: str, address: str, value: str | None, words: str
) -> None:
    device = Device()
    grant(device.tree, "./DMAcc", ALL)
    before, moves = device.tree.root, device.moves
    act = getattr(device.server, command)
    assert (act(address) if value is None else act(address, value)) == 500
    assert words in device.server.visit.words
    assert (device.tree.root, device.moves) == (before, moves)


def test_what_it_can_do_holds() -> None:
    device = Device()
    assert device.server.replace(f"{HERE}/AppAddr/1/Addr", "https://b.example:8444/dm") == 200
    assert device.server.replace(f"{HERE}/Name", "Utility") == 200
    found = account_of(device.tree.root)
    assert found is not None
    assert found.origin == "https://b.example:8444"
    assert device.moves == 2


def test_the_next_bootstrap_takes_the_place_of_all_accounts() -> None:
    device = Device()
    device.tree._listeners.clear()  # as a version that took a second one
    grant(device.tree, "./DMAcc", ALL)
    assert device.server.add("./DMAcc/2/ServerID", "other") == 200
    device.tree.watch("./DMAcc", AccountListener(lambda: None, device.allowed))
    take_bootstrap(device.tree, replace(BLOCK, client_password="c" * 43), now=2.0)
    assert device.tree.names("./DMAcc") == ("1",)


def test_who_installs_the_device_may_raise_its_least() -> None:
    device = Device(Scheme.BASIC)
    assert not device.together(pref="BASIC", own="BASIC", its="BASIC")
    device.allowed = AuthPolicy()
    assert device.schemes == (Scheme.MAC_SHA256,)


def test_the_least_is_a_setting(tmp_path: Path) -> None:
    def least(**options: str) -> tuple[str, ...]:
        given = {"factory": tmp_path, "modem": "hdlc+tcp://127.0.0.1:1", **options}
        return Installation.load(None, **given).allowed.labels

    assert least() == ("mac-sha256", "digest-sha256")
    assert least(weakest_proof="mac-sha256") == ("mac-sha256",)
    assert least(weakest_proof="basic") == tuple(scheme.label for scheme in Scheme)
    with pytest.raises(ConfigError) as raised:
        least(weakest_proof="none")
    assert "mac-sha256, digest-sha256, mac-md5, digest-md5, basic" in str(raised.value)
