"""``python -m bench [NAME …]``: run all benchmarks, or those that are named."""

from __future__ import annotations

import importlib
import sys

from bench.machine import describe

BENCHMARKS = {
    "columns": "load profiles to columns, against gurux-dlms",
    "c1219_profile": "load-profile tables of C12.19 to columns, against a plain loop",
    "c1222_transactions": "read transactions of C12.22, on the codec and over loopback",
    "street": "whole reads of meters from one street, against gurux-dlms",
    "c1222_nodes": "registrations of C12.22 nodes, and memory for 10,000 of them",
    "omadm": "device management messages, against xml.etree",
    "dm_sessions": "sessions of device management through HTTP, per second and core",
    "firmware_broadcast": "one image to 200 meters of a line, against one after another",
    "campaigns": "the plan of a country, and a campaign's transitions, against a row per meter",
    "metrology": "samples to measurements and energy, against a plain loop and a copy",
    "bills": "bills of a million meters, against the exact path in a loop",
    "baseline": "what a baseline of demand response is wrong by, on real homes, and its time",
    "estimate": "what the bill foreseen of a running month is wrong by, on real homes",
    "store": "uploads, pipeline, octets a reading, queries",
}


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all; return the exit status."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"error[bench.unknown]: {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}")
        return 2
    print(describe())
    for name in names or BENCHMARKS:
        print(f"\n== {name}: {BENCHMARKS[name]}", flush=True)
        importlib.import_module(f"bench.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
