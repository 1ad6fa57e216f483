"""How long the ledgers of uploads remember a batch.

A batch can come again for as long as its DCU may not have heard that it is durable. A DCU sends one
batch after the other, oldest first, and tries each until it is answered: what it may send again is
the last that it sent, in a minute or, if it is switched off for a year, in a year. So a ledger
keeps all that came lately, and the last of each DCU however old they are. A batch that comes after
it was forgotten, from a disk put back out of a backup, say, adds nothing but what was corrected
since: readings and events that are stored are not stored again.
"""

from __future__ import annotations

from typing import Final

KEEP_S: Final = 30 * 86_400.0
"""A month: with 96 batches a day of 120,000 DCUs 350 million entries, at some 70 octets 24 GB."""

KEEP_LAST: Final = 64
"""Older ones of each DCU: other makers' may send several at once, none that we know 64."""
