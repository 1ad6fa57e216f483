"""``openami demo``: the whole chain on this machine, as real processes on real sockets."""

from openami.cli.demo.command import demo

__all__ = ["demo"]
