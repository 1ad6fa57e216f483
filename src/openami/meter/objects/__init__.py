"""A meter's COSEM objects, bound to its engine."""

from openami.meter.objects.build import ObjectModel, build_objects
from openami.meter.objects.hooks import Hooks, Running

__all__ = ["Hooks", "ObjectModel", "Running", "build_objects"]
