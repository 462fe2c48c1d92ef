"""The benchmarks by name, in the order in which they run."""

from collections.abc import Callable, Mapping

from benchmarks import replaying
from benchmarks.report import Figure

#: A benchmark takes whether it is to be quick and returns its figures.
Benchmark = Callable[[bool], list[Figure]]

ALL: Mapping[str, Benchmark] = {"replay": replaying.run}
