"""Tariffs as data and bills by them: exact, each line explained; whole fleets at once.

``catalog`` gives the tariffs that are shipped, ``loading`` reads others of the same format
(docs/reference/tariffs.md), ``billing`` makes one exact bill, ``fleet`` those of many meters with
the same result, ``estimate`` foresees the bill of a running month, ``rebilling`` shows what has
changed between two bills of a month, ``intervals`` makes usage out of readings, ``pricing`` tells
what the next kWh costs.
"""
