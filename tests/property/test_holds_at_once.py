"""Few holds written on one way to PostgreSQL beside those written step by step under their locks.

Both leave the same rows, down to the hashes of the chains, whatever is drawn and whatever is short.
"""

from dataclasses import replace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from quota.rules import Funder, Rule
from scheduler.store import holds, holds_at_once, paying
from scheduler.store.database import bulk_read
from scheduler.store.judgements import Wanted
from tests.postgres import Postgres
from tests.simulation import inline_store
from tests.simulation import world as worlds
from tests.simulation.world import NPU

TABLES = ("account", "cap_counter", "ledger_shard", "transfer", "hold", "hold_leg")
RULES = (
    Rule("a", 1, "wuhan", 3_333, year_cap_fen=1_500),
    Rule(
        "b", 1, "wuhan", 2_000, priority=1,
        funders=(Funder("wuhan", 6_000), Funder("hubei", 4_000)),
    ),
    Rule("c", 1, "wuhan", 1_000, priority=2, contract_once="JOB"),
)  # fmt: skip
BATCHES = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(("w1", "w2")), st.integers(1, 8), st.sampled_from((60, 600, 3_600)),
            st.sampled_from(("", "", "", "C")),
        ),
        min_size=1, max_size=6,
    ),
    min_size=1, max_size=5,
)  # fmt: skip


def stands(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    """All that holds write."""
    return {
        name: sorted(map(tuple, bulk_read(connection, f"SELECT * FROM {name}")), key=repr)
        for name in TABLES
    }


Batch = list[tuple[str, int, int, str]]
Told = tuple[list[object], dict[str, list[tuple[object, ...]]]]


def held(
    server: Postgres, rules: list[Rule], fund: int, credit: int, batches: list[Batch],
    *, by_steps: bool,
) -> Told:  # fmt: skip
    """Hold batch after batch in a world of their own; what was answered, and what stands there."""
    uid, answers = 0, list[object]()
    with inline_store.on(server), pytest.MonkeyPatch.context() as patch:
        it = worlds.build(
            rules=[(rule, fund) for rule in rules], credit={"w1": credit, "w2": 10 * credit}
        )
        if by_steps:
            patch.setattr(holds, "_is_prompt", lambda *_: False)
        for batch in batches:
            wanted = []
            for who, units, wall_s, contract in batch:
                uid += 1
                wanted.append(
                    Wanted(
                        uid, 1, "ai", NPU, who, "wuhan", units, wall_s, "PREFERRED", None,
                        contract, root=uid,
                    )
                )  # fmt: skip

            def call(c: Connection, wanted: list[Wanted] = wanted) -> object:
                contracts = {(one.enterprise, one.contract) for one in wanted if one.contract}
                means = paying.load(c, {one.enterprise for one in wanted}, worlds.NOW_MS, contracts)
                return holds.hold(c, wanted, means, worlds.NOW_MS)

            answers.append(it.db.do(call))
        return answers, it.db.read_sync(stands)


@settings(max_examples=12, phases=(Phase.explicit, Phase.generate))
@given(
    st.lists(st.sampled_from(RULES), unique=True, max_size=3),
    st.sampled_from((500, 5_000, 10**6)), st.sampled_from((2_000, 10**6)), BATCHES,
)  # fmt: skip
def test_holds_at_once_are_those_by_steps(
    postgres: Postgres, rules: list[Rule], fund: int, credit: int, batches: list[Batch],
) -> None:  # fmt: skip
    at_once = held(postgres, rules, fund, credit, batches, by_steps=False)
    assert at_once == held(postgres, rules, fund, credit, batches, by_steps=True)


def test_they_are_written_at_once(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above would compare nothing."""
    wrote = []

    def write(*given: object) -> bool:
        wrote.append(real(*given))  # type: ignore[arg-type]
        return wrote[-1]

    real = holds_at_once.write
    monkeypatch.setattr(holds_at_once, "write", write)
    batch = [("w1", 1, 600, ""), ("w1", 2, 600, "")]
    capped = replace(RULES[0], year_cap_fen=10**9)
    held(postgres, [capped], 10**6, 10**6, [batch, batch], by_steps=False)
    # The first finds no chain to add to, the second one finds that of the first.
    assert wrote == [False, True]
