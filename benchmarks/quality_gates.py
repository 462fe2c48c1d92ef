"""What is wanted of policy ``corridor``: gates on figures, beside those of the peers."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from scheduler.replay.measures import KindFigures

#: Figures by name; less is better, but for ``utilization``.
Figures = Mapping[str, float]
#: Figures by policy.
ByPolicy = Mapping[str, Figures]

NAMES: Final = (
    "mean_wait_s", "avebsld", "avebsld_per_user", "shortfall", "p95_wait_s", "p95_widest_s",
    "utilization", "loss_of_capacity", "waits_over_7d", "promises_missed", "max_wait_s",
)  # fmt: skip


class Verdict(NamedTuple):
    """One figure with its least and its aim; None where there is none."""

    name: str
    value: float
    peers: Figures
    least: float | None
    aim: float | None
    at_most: bool = True

    def meets(self, wanted: float | None) -> bool | None:
        """Whether a wanted value is met; None without one."""
        if wanted is None:
            return None
        slack = 1e-9 + 1e-9 * abs(wanted)
        return self.value <= wanted + slack if self.at_most else self.value >= wanted - slack


def figures_of(kind: KindFigures) -> dict[str, float]:
    """The figures of one kind of one replay."""
    waits = kind.waits
    widest = [size for size in kind.by_size.values() if size.jobs][-1]
    return {
        "mean_wait_s": waits.mean_wait_s,
        "avebsld": waits.avebsld,
        "avebsld_per_user": waits.avebsld_per_user,
        "shortfall": kind.share_shortfall or 0.0,
        "p95_wait_s": waits.p95_wait_s,
        "p95_widest_s": widest.p95_wait_s,
        "utilization": kind.utilization,
        "loss_of_capacity": kind.loss_of_capacity,
        "waits_over_7d": float(waits.waits_over_7d),
        "promises_missed": float(kind.promises_broken),
        "max_wait_s": waits.max_wait_s,
    }


def mean_of(figures: Sequence[Figures]) -> dict[str, float]:
    """The mean of several replays; counts that must be 0 and the longest wait are the worst."""
    found = {name: sum(one[name] for one in figures) / len(figures) for name in NAMES}
    for name in ("waits_over_7d", "promises_missed", "max_wait_s"):
        found[name] = max(one[name] for one in figures)
    return found


def judge(kind: str, load: float, by_policy: ByPolicy) -> list[Verdict]:
    """The gates of one kind at one load; those for the corridor's own load and kinds."""
    if kind not in ("cpu", "npu"):
        return [_verdict(name, by_policy, None, None) for name in NAMES]
    easy, fair = by_policy["easy"], by_policy["easy_fair"]
    if load < 0.9:
        return _against_easy(by_policy)
    best_user = min(easy["avebsld_per_user"], fair["avebsld_per_user"])
    is_cpu = kind == "cpu"
    wanted: dict[str, tuple[float | None, float | None]] = {
        "mean_wait_s": ((0.65 if is_cpu else 1.0) * easy["mean_wait_s"], fair["mean_wait_s"]),
        "avebsld": ((0.6 if is_cpu else 1.0) * easy["avebsld"], fair["avebsld"]),
        "avebsld_per_user": (best_user, 0.75 * best_user),
        "shortfall": (fair["shortfall"], 0.75 * fair["shortfall"]),
        "p95_widest_s": (1.25 * easy["p95_widest_s"], easy["p95_widest_s"]),
        "utilization": (easy["utilization"] - 0.01, easy["utilization"]),
        "loss_of_capacity": (easy["loss_of_capacity"] + 0.01, easy["loss_of_capacity"]),
        "waits_over_7d": (0.0, None),
        "promises_missed": (0.0, None),
    }
    return [_verdict(name, by_policy, *wanted.get(name, (None, None))) for name in NAMES]


def _against_easy(by_policy: ByPolicy) -> list[Verdict]:
    """No figure worse than EASY by more than 2 %."""
    easy = by_policy["easy"]
    found = []
    for name in NAMES:
        if name in ("waits_over_7d", "promises_missed"):
            found.append(_verdict(name, by_policy, 0.0, None))
        elif name == "utilization":
            found.append(_verdict(name, by_policy, 0.98 * easy[name], easy[name]))
        elif name == "loss_of_capacity":  # a part of the capacity: 2 points of a hundredth of it
            found.append(_verdict(name, by_policy, max(1.02 * easy[name], easy[name] + 0.01), None))
        elif name == "max_wait_s":
            found.append(_verdict(name, by_policy, None, None))
        else:
            found.append(_verdict(name, by_policy, 1.02 * easy[name], easy[name]))
    return found


def _verdict(name: str, by_policy: ByPolicy, least: float | None, aim: float | None) -> Verdict:
    peers = {policy: figures[name] for policy, figures in by_policy.items() if policy != "corridor"}
    value = by_policy["corridor"][name]
    return Verdict(name, value, peers, least, aim, at_most=name != "utilization")
