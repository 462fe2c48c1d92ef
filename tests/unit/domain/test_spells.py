"""How long a job waited for which reason, put together from its events and its kind's spells."""

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.events import EventKind
from scheduler.domain.reasons import ReasonCode
from scheduler.domain.spells import Course, Happening, Spell, spells, totals

E, R = EventKind, ReasonCode
FULL, CAP = R.POOL_FULL, R.CAP_ENTERPRISE


def course(*happened: tuple[EventKind, int], **more: object) -> Course:
    """A course of events without details."""
    return Course(tuple(Happening(*one) for one in happened), **more)  # type: ignore[arg-type]


def test_a_job_waits_for_the_reason_of_its_kind() -> None:
    kind = (Spell(FULL, 0, 40), Spell(R.WAITING_RESERVATION, 40, None))
    found = spells(course((E.SUBMITTED, 10), sampled=[kind]), 60, R.WAITING_RESERVATION)
    assert found == [Spell(FULL, 10, 40), Spell(R.WAITING_RESERVATION, 40, None)]
    assert totals(found, 60) == [(FULL, 30), (R.WAITING_RESERVATION, 20)]


def test_special_spells_go_over_general_ones() -> None:
    sampled = ([Spell(R.WALLET_SHORT, 20, 30)], [Spell(FULL, 0, None)])
    found = spells(course((E.SUBMITTED, 10), sampled=sampled), 50, FULL)
    assert found == [Spell(FULL, 10, 20), Spell(R.WALLET_SHORT, 20, 30), Spell(FULL, 30, None)]


def test_what_was_not_sampled_yet_is_what_was_sampled_first_or_is_said_now() -> None:
    late = [Spell(FULL, 25, None)]
    assert spells(course((E.SUBMITTED, 10), sampled=[late]), 40) == [Spell(FULL, 10, None)]
    assert spells(course((E.SUBMITTED, 10)), 40, CAP) == [Spell(CAP, 10, None)]
    assert spells(course((E.SUBMITTED, 10)), 40) == [Spell(R.NOT_EVALUATED, 10, None)]


def test_a_hold_a_pause_and_a_run_are_known_by_events() -> None:
    happened = (
        Happening(E.SUBMITTED, 0),
        Happening(E.HELD, 10),
        Happening(E.RELEASED, 20),
        Happening(E.ADMITTED, 30),
        Happening(E.REQUEUED, 50, '{"not_before_ms":"70"}'),
        Happening(E.ADMITTED, 90),
        Happening(E.SUCCEEDED, 95),
    )
    kind = (Spell(FULL, 0, None),)
    found = spells(Course(happened, [kind]), 200)
    assert found == [
        Spell(FULL, 0, 10),
        Spell(R.QUEUE_HELD, 10, 20),
        Spell(FULL, 20, 30),
        Spell(R.RETRY_BACKOFF, 50, 70),
        Spell(FULL, 70, 90),
    ]
    # As it was while the pause went on.
    paused = spells(Course(happened[:5], [kind]), 60, R.RETRY_BACKOFF)
    assert paused[-1] == Spell(R.RETRY_BACKOFF, 50, None)


def test_a_wish_and_other_jobs_are_waited_for_first() -> None:
    wished = course((E.SUBMITTED, 0), not_before_ms=30)
    assert spells(wished, 50, FULL) == [Spell(R.NOT_BEFORE, 0, 30), Spell(FULL, 30, None)]
    waits = course((E.SUBMITTED, 0), gated=True)
    assert spells(waits, 50, R.DEPENDENCY) == [Spell(R.DEPENDENCY, 0, None)]
    ready = course((E.SUBMITTED, 0), (E.READY, 20))
    assert spells(ready, 50, FULL) == [Spell(R.DEPENDENCY, 0, 20), Spell(FULL, 20, None)]


def test_what_is_more_lasting_hides_a_pause() -> None:
    own = [Spell(R.QUEUE_HELD, 20, 30), Spell(R.CENTER_DOWN, 40, None)]
    kind = [Spell(FULL, 0, None)]
    found = spells(course((E.SUBMITTED, 10), sampled=[own, kind], not_before_ms=50, alone=own), 45)
    assert found == [
        Spell(R.NOT_BEFORE, 10, 20), Spell(R.QUEUE_HELD, 20, 30), Spell(R.NOT_BEFORE, 30, 40),
        Spell(R.CENTER_DOWN, 40, None),
    ]  # fmt: skip
    own[-1] = own[-1]._replace(to_ms=42)
    found = spells(course((E.SUBMITTED, 10), sampled=[own, kind], not_before_ms=50, alone=own), 60)
    assert found[3:] == [
        Spell(R.CENTER_DOWN, 40, 42), Spell(R.NOT_BEFORE, 42, 50), Spell(FULL, 50, None),
    ]  # fmt: skip


def test_an_array_waits_for_its_elements_while_none_of_them_waits_to_be_placed() -> None:
    kind = [Spell(FULL, 15, 30), Spell(CAP, 50, 60)]
    happened = ((E.SUBMITTED, 10), (E.CANCELLED, 80))
    assert spells(course(*happened, sampled=[kind], is_array=True), 90) == [
        Spell(FULL, 10, 30), Spell(R.DEPENDENCY, 30, 50), Spell(CAP, 50, 60),
        Spell(R.DEPENDENCY, 60, 80),
    ]  # fmt: skip
    assert spells(course(*happened, is_array=True), 90) == [Spell(R.DEPENDENCY, 10, 80)]


def test_a_job_that_policy_held_was_switched_off() -> None:
    off = course((E.SUBMITTED, 0), (E.HELD, 10), deactivated=True)
    assert spells(off, 50, R.DEACTIVATED)[-1] == Spell(R.DEACTIVATED, 10, None)


@st.composite
def courses(draw: st.DrawFn) -> tuple[Course, int, int]:
    """A job that waits, runs and is held in turns, its sampled spells, now, and its wait in all."""
    at_ms = waited = 0
    waits = True
    happened = [Happening(E.SUBMITTED, 0)]
    for _ in range(draw(st.integers(0, 6))):
        step = draw(st.integers(0, 20))
        at_ms += step
        waited += step * waits
        if waits:
            kind = draw(st.sampled_from([E.HELD, E.RELEASED, E.ADMITTED]))
            happened.append(Happening(kind, at_ms))
            waits = kind is not E.ADMITTED
        else:
            pause = draw(st.integers(0, 30))
            detail = f'{{"not_before_ms":"{at_ms + pause}"}}' if pause else ""
            happened.append(Happening(E.REQUEUED, at_ms, detail))
            waits = True
    now_ms = at_ms + draw(st.integers(0, 20))
    waited += (now_ms - at_ms) * waits
    sampled = []
    for code in (CAP, FULL):
        edges = sorted(draw(st.lists(st.integers(0, 120), min_size=0, max_size=6, unique=True)))
        pairs = zip(edges[::2], edges[1::2], strict=False)
        sampled.append([Spell(code, *pair) for pair in pairs])
    return Course(tuple(happened), sampled), now_ms, waited


@settings(max_examples=150, deadline=None)
@given(courses())
def test_spells_are_in_order_without_overlap_and_add_up_to_the_wait(
    drawn: tuple[Course, int, int],
) -> None:
    found, now_ms, waited = spells(drawn[0], drawn[1]), drawn[1], drawn[2]
    last_ms = 0
    for place, (_, from_ms, to_ms) in enumerate(found):
        assert last_ms <= from_ms
        assert to_ms is not None or place == len(found) - 1
        last_ms = now_ms if to_ms is None else to_ms
        assert from_ms <= last_ms <= now_ms
    assert sum(spent for _, spent in totals(found, now_ms)) == waited
