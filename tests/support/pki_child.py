"""Opens the authorities of an installation, and stops for good after so many keys are durable."""

import signal
import sys
import time
from contextlib import closing
from pathlib import Path

from openami.headend.installation import open_installation
from openami.headend.security.authorities import open_authorities
from openami.store.vault import FileVault


class Stopping(FileVault):
    """A vault that stops the process once it holds ``keys`` more keys."""

    keys = 0

    def put(self, kind: str, owner: str, name: str, secret: bytes) -> None:
        super().put(kind, owner, name, secret)
        print(f"{kind} {owner} {name}", flush=True)
        Stopping.keys -= 1
        if not Stopping.keys:
            signal.pause()


if __name__ == "__main__":
    home = open_installation(Path(sys.argv[1]))
    Stopping.keys = int(sys.argv[2])
    with closing(Stopping(home.vault, kek=home.kek)) as vault:
        open_authorities(home, vault, now=time.time())
