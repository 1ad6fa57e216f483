"""A display's side of a meter's home port.

::

    target = HomeTarget.parse("tcp://192.168.1.20:4060")
    paired = await pair(target, "12345678", name="Kitchen", random_octets=os.urandom, clock=clock)
    async with HomeLink(target, paired, clock=clock, keep_counter=keep) as link:
        async for live in link.lives(): …
"""

from openami.transport.home.energy import IntervalEnergy
from openami.transport.home.link import HomeLink
from openami.transport.home.paired import Paired
from openami.transport.home.pairing import new_title, pair
from openami.transport.home.target import HomeTarget
from openami.transport.home.way import HomeLine, HomeWay, way_to

__all__ = [
    "HomeLine",
    "HomeLink",
    "HomeTarget",
    "HomeWay",
    "IntervalEnergy",
    "Paired",
    "new_title",
    "pair",
    "way_to",
]
