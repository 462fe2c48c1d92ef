"""What the scheduler's side remembers of an agent's words, in whatever order they come."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from adapters.agent.mirror import Mirror
from adapters.agent.words import Inventory, RunReport
from adapters.contract import Accepted, Observation, Phase, RunRef


def report(
    run: str, sequence: int, phase: Phase = Phase.RUNNING, *, gone: bool = False
) -> RunReport:
    seen = Observation(run, f"native-{run}", phase, sequence, 1000)
    return RunReport(sequence, RunRef(run, f"n-{run}", seen.native_id, 1000), seen, None, gone)


REPORTS = st.lists(
    st.builds(
        report,
        st.sampled_from("abc"),
        st.integers(1, 9),
        st.sampled_from([Phase.WAITING, Phase.RUNNING, Phase.SUCCEEDED]),
        gone=st.booleans(),
    ),
    max_size=12,
)


@given(REPORTS, st.randoms(use_true_random=False))
def test_only_the_newest_report_of_each_run_counts(reports: list[RunReport], rng: object) -> None:
    # A sequence is given once: of equal ones the agent would never speak.
    told = list({(one.ref.run_id, one.sequence): one for one in reports}.values())
    newest: dict[str, RunReport] = {}
    for one in sorted(told, key=lambda one: one.sequence):
        newest[one.ref.run_id] = one
    again = [*told, *told]
    rng.shuffle(again)  # type: ignore[attr-defined]
    mirror = Mirror()
    for one in again:
        mirror.take([one])
    assert dict(mirror.runs) == newest
    running = (Phase.WAITING, Phase.RUNNING)
    assert mirror.active == {
        run: one.observation
        for run, one in newest.items()
        if one.observation.phase in running and not one.gone
    }


def test_an_inventory_replaces_all_but_what_came_since_it_began() -> None:
    mirror = Mirror()
    mirror.take([report("old", 5), report("kept", 6)])
    assert not mirror.page(Inventory((report("kept", 6),), True, False))
    mirror.take([report("new", 9)])
    mirror.accepted(RunRef("sent", "n-sent"), Accepted("sent", "12", 2000))
    assert mirror.page(Inventory((report("late", 7),), False, True))
    assert set(mirror.runs) == {"kept", "late", "new", "sent"}
    assert set(mirror.active) == {"kept", "late", "new", "sent"}


def test_half_an_inventory_of_an_earlier_session_is_void() -> None:
    mirror = Mirror()
    mirror.page(Inventory((report("a", 1),), True, False))
    mirror.begin(same_journal=True)
    assert not mirror.page(Inventory((), False, True))
    assert mirror.page(Inventory((), True, True))
    assert mirror.runs == {}


def test_sequences_of_another_journal_mean_nothing() -> None:
    mirror = Mirror()
    mirror.take([report("a", 90)])
    mirror.begin(same_journal=False)
    mirror.take([report("a", 2, Phase.SUCCEEDED)])
    assert mirror.runs["a"].sequence == 2


def test_an_acceptance_never_undoes_what_the_center_said() -> None:
    mirror = Mirror()
    mirror.take([report("a", 4)])
    mirror.accepted(RunRef("a", "n-a"), Accepted("a", "native-a", 1000))
    assert mirror.active["a"].phase is Phase.RUNNING
    mirror.take([replace(report("a", 5), gone=True)])
    mirror.accepted(RunRef("a", "n-a"), Accepted("a", "other", 3000))
    assert mirror.active["a"].native_id == "other", "sent again after it was forgotten"
    assert mirror.over() == []
