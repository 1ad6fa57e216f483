"""A security module that kills itself at its n-th step, once: arguments FLAG N STATE FACTORY."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.killer import Killer

from openami.dcu.module.process import Module, main
from openami.store.vault import FileVault

if __name__ == "__main__":
    flag, number = Path(sys.argv[1]), int(sys.argv[2])
    del sys.argv[1:3]
    if not flag.exists():
        flag.touch()
        killer = Killer(number)
        for owner, name in ((FileVault, "put"), (FileVault, "delete"), (Module, "answer")):
            killer.around(owner, name)
    main()
