"""I11: in whatever order and batches runs are settled, everybody pays the same."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.contract import FailureClass, Phase
from quota.rules import Rule
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import CPU, NPU, job

RULES = (
    (Rule("v", 1, "wuhan", 3000, year_cap_fen=300), 500),
    (Rule("shared", 1, "corridor", 2000, priority=1, base="REMAINING", ceiling_bp=4_500), 400),
)
JOBS = [
    ("w1", job(NPU, 2, 600)),
    ("w1", job(NPU, 1, 1800)),
    ("w2", job(NPU, 1, 333)),
    ("e1", job(CPU, 16, 7200)),
    ("w1", job(CPU, 3, 601)),
    ("x1", job(NPU, 1, 60)),
]


def settle(order: list[int], cuts: list[int], seconds: list[int]) -> list[Any]:
    """Run all jobs, then end them in this order and these batches; returns who paid what."""
    it = Hands(worlds.build(rules=RULES))
    uids = [it.world.submit(who, [spec])[0] for who, spec in JOBS]
    it.run(*uids)
    start_ms = it.clock.ms
    it.clock.ms += 10_000_000
    reports = []
    for number in order:
        uid, units = uids[number], JOBS[number][1].options[0].units
        end_ms = start_ms + 1000 * seconds[number]
        failed = number == 1
        reports.append(
            it.seen(
                uid, Phase.FAILED if failed else Phase.SUCCEEDED, 2, start_ms=start_ms,
                end_ms=end_ms, failure=FailureClass.NODE if failed else None,
                usage=[it.usage(uid, start_ms, end_ms, units=units)],
            )
        )  # fmt: skip
    for first, last in zip([0, *cuts], [*cuts, len(reports)], strict=True):
        it.report(*reports[first:last])
    it.verify()
    paid = [
        it.db.rows(sql)
        for sql in (
            "SELECT account_id, debits_pending, debits_posted, credits_posted FROM account"
            " ORDER BY account_id",
            "SELECT programme, enterprise, pending_fen, posted_fen FROM cap_counter ORDER BY 1, 2",
            "SELECT job_uid, leg, posted_fen FROM hold_leg ORDER BY job_uid, leg",
            "SELECT uid, gross_fen, subsidy_fen, self_pay_fen, settled FROM job ORDER BY uid",
        )
    ]
    it.db.close()
    return paid


ORDERS = st.permutations(range(len(JOBS)))
CUTS = st.sets(st.integers(1, len(JOBS) - 1)).map(sorted)
#: Within their wall limits, or far beyond.
WITHIN = st.tuples(*(st.integers(0, spec.wall_limit_s) for _, spec in JOBS)).map(list)
BEYOND = st.lists(st.integers(0, 9_000), min_size=len(JOBS), max_size=len(JOBS))


@settings(max_examples=20)
@given(ORDERS, CUTS, WITHIN)
def test_the_order_of_settlements_changes_nothing(
    order: list[int], cuts: list[int], seconds: list[int]
) -> None:
    plain = settle([*range(len(JOBS))], [], seconds)
    assert settle(order, cuts, seconds) == plain


@settings(max_examples=15)
@given(ORDERS, BEYOND)
def test_nor_does_it_within_a_batch_for_runs_beyond_their_holds(
    order: list[int], seconds: list[int]
) -> None:
    """They take what is left of funds and wallets after all others, in a fixed order."""
    assert settle(order, [], seconds) == settle([*range(len(JOBS))], [], seconds)


@settings(max_examples=15)
@given(ORDERS, CUTS, BEYOND)
def test_what_centers_get_never_depends_on_the_order(
    order: list[int], cuts: list[int], seconds: list[int]
) -> None:
    """Who pays what was used beyond a hold does: what is left then is there for who comes first."""
    plain, other = settle([*range(len(JOBS))], [], seconds), settle(order, cuts, seconds)

    def gross(paid: list[Any]) -> list[Any]:
        payable = [row for row in paid[0] if row[0].startswith("payable:")]
        return [payable, [row[:2] for row in paid[3]], [sum(row[1] for row in paid[0])]]

    assert gross(other) == gross(plain)
