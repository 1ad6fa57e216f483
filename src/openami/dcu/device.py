"""The DCU as a server sees it: its management tree, and the account that it has in there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from openami import __version__
from openami.core.identifiers import DCU_URN
from openami.dcu.accounts import ACCOUNT, objection, policy_for
from openami.omadm.auth import AuthPolicy, Credentials
from openami.omadm.codes import Status
from openami.omadm.objects.catalog import device_schema
from openami.omadm.objects.device import DeviceFacts, bind_facts
from openami.omadm.objects.dmacc import PLACE, AppAuth, DmAcc, Level, accounts, put_account
from openami.omadm.session.account import Account
from openami.omadm.tree.acl import Acl, Verb
from openami.omadm.tree.node import Format, check_value
from openami.omadm.tree.refusal import TreeRefusedError
from openami.omadm.tree.tree import ManagementTree
from openami.omadm.tree.uri import format_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openami.omadm.tree.draft import Change
    from openami.omadm.tree.node import Node
    from openami.omadm.tree.schema import Rule
    from openami.omadm.tree.tree import TreeStore
    from openami.ssmp.bootstrap import BootstrapBlock
    from openami.ssmp.messages import DeviceInfo
    from openami.store.device_memory import DeviceMemory

_HMAC: Final = "HMAC"


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """The server that manages this DCU.

    Attributes:
        name: changes whenever another account takes its place, even of the same server.
        address: where its sessions are held.
        account: identities and nonces.
    """

    name: str
    address: str
    account: Account = field(repr=False)

    @property
    def origin(self) -> str:
        """Scheme, host and port of the address."""
        return origin_of(self.address)


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def facts_of(uid: str, info: DeviceInfo) -> DeviceFacts:
    """Return what DevInfo and DevDetail say."""
    return DeviceFacts(
        device_id=DCU_URN + uid,
        maker=info.manufacturer,
        model=info.model,
        kind="dcu",
        vendor=info.manufacturer,
        firmware=info.firmware,
        software=__version__,
        hardware=info.hardware,
    )


def open_tree(store: TreeStore, facts: DeviceFacts, *, now: float) -> ManagementTree:
    """Return the DCU's tree as it was left, or as it comes from the factory.

    Raises:
        StoreError: it cannot be read.
    """
    tree = ManagementTree(device_schema(), store, now=now)
    bind_facts(tree, facts)
    return tree


def mend(tree: ManagementTree, *, now: float) -> tuple[str, ...]:
    """Put back what this software does not take, to what the factory says; return where.

    Another version may have accepted it. Nobody may be watching the tree yet.

    Raises:
        StoreError: it cannot be kept.
    """
    draft = tree.draft(now)
    mended: list[str] = []
    for path, node in tree.root.walk():
        rule = tree.schema.rule(path)
        if rule is None or rule.format is Format.NODE or _fits(rule, node):
            continue
        mended.append(format_path(path))
        if rule.permanent:
            draft.set_value(path, rule.default)
        else:
            draft.remove(path)
    tree.commit(draft)
    return tuple(mended)


def _fits(rule: Rule, node: Node) -> bool:
    try:
        check_value(node.format, node.value)
        if rule.check is not None and isinstance(node.value, str):
            rule.check(node.value)
    except (ValueError, TreeRefusedError):
        return False
    return True


def take_bootstrap(tree: ManagementTree, block: BootstrapBlock, *, now: float) -> None:
    """Put the account of a bootstrap block in the tree, and the tree in its server's hands.

    It is the only one from then on. The address and the port of the block are in its URL as well.
    The server may do everything that the objects allow; nobody else may do anything.
    """
    draft = tree.draft(now)
    account = DmAcc(
        block.server_id,
        block.server_url,
        name=block.server_id,
        preferred=_HMAC,
        auth=(
            AppAuth(Level.CLIENT, _HMAC, block.client_id, block.client_password),
            AppAuth(Level.SERVER, _HMAC, block.server_id, block.server_password),
        ),
    )
    for name in accounts(draft.root):
        draft.remove((*PLACE, name))
    put_account(draft, ACCOUNT, account)
    draft.set_acl((), Acl().grant(block.server_id, *Verb))
    tree.commit(draft)


def holds(tree: ManagementTree, block: BootstrapBlock) -> bool:
    """Tell whether the tree has the account of this block already."""
    found = accounts(tree.root).get(ACCOUNT)
    secrets = set() if found is None else {entry.secret for entry in found.auth}
    return {block.client_password, block.server_password} <= secrets


def account_of(root: Node, allowed: AuthPolicy | None = None) -> ServerAccount | None:
    """Return the server that manages this DCU by a tree; None: there is none yet.

    Its nonces are those that it came with.

    Args:
        root: of the tree.
        allowed: the schemes that the DCU's own settings allow.
    """
    found = accounts(root).get(ACCOUNT)
    if found is None:
        return None
    auth = {entry.level: entry for entry in found.auth}
    client, server = auth.get(Level.CLIENT), auth.get(Level.SERVER)
    if client is None or server is None:
        return None
    whole = (found.server_id, client.name, client.secret, server.name, server.secret)
    name = hashlib.sha256("\0".join(whole).encode()).hexdigest()
    account = Account(
        found.server_id,
        Credentials(server.name or found.server_id, server.secret),
        Credentials(client.name, client.secret),
        policy_for(client.type, allowed or AuthPolicy()),
        client_nonce=client.data,
        server_nonce=server.data,
    )
    return ServerAccount(name, found.address, account)


def server_of(
    root: Node, memory: DeviceMemory, allowed: AuthPolicy | None = None
) -> ServerAccount | None:
    """Return what ``account_of`` does, with the nonces that were agreed on last.

    Raises:
        StoreError: they cannot be read.
    """
    server = account_of(root, allowed)
    if server is None:
        return None
    account = server.account
    client, own = memory.nonces(server.name)
    last = replace(
        account,
        client_nonce=client or account.client_nonce,
        server_nonce=own or account.server_nonce,
    )
    return replace(server, account=last)


class AccountListener:
    """Keeps the DCU in the hands of one server, and from what it cannot do; of DMAcc.

    Args:
        moved: is called when the account is another.
        allowed: the schemes that the DCU's own settings allow.
    """

    def __init__(self, moved: Callable[[], None], allowed: AuthPolicy) -> None:
        self._moved = moved
        self._allowed = allowed

    def check(self, tree: Node, _changes: Sequence[Change]) -> None:
        words = objection(tree, self._allowed)
        if words is not None:
            raise TreeRefusedError(Status.COMMAND_FAILED, words)

    def changed(self, _changes: Sequence[Change]) -> None:
        self._moved()
