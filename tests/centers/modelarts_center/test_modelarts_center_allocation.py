"""Who starts where, against an oracle that tries every choice of nodes and victims."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.modelarts_center.allocation import Holding, Want, plan

pytestmark = pytest.mark.centers

NODES = ("n-0", "n-1", "n-2")
CARDS = 4


@st.composite
def holdings(draw: st.DrawFn) -> list[Holding]:
    """Jobs on nodes, never more than the cards there are."""
    free = dict.fromkeys(NODES, CARDS)
    held = []
    for number in range(draw(st.integers(0, 4))):
        cards = draw(st.sampled_from((1, 2, CARDS)))
        room = [node for node in NODES if free[node] >= cards]
        if not room:
            break
        nodes = draw(st.lists(st.sampled_from(room), min_size=1, max_size=3, unique=True))
        for node in nodes:
            free[node] -= cards
        held.append(
            Holding(
                f"held-{number}",
                tuple(nodes),
                cards,
                draw(st.integers(1, 3)),
                draw(st.booleans()),
                draw(st.booleans()),
            )
        )
    return held


WANTS = st.builds(
    Want,
    job=st.just(""),
    nodes=st.integers(1, 3),
    cards=st.sampled_from((1, 2, CARDS)),
    priority=st.integers(1, 3),
)


def free_of(capacity: dict[str, int], held: list[Holding]) -> dict[str, int]:
    return {
        node: cards - sum(each.cards for each in held if node in each.nodes)
        for node, cards in capacity.items()
    }


def fits(free: dict[str, int], want: Want) -> bool:
    return any(
        all(free[node] >= want.cards for node in nodes) for nodes in combinations(free, want.nodes)
    )


@given(
    st.sets(st.sampled_from(NODES)).map(lambda nodes: dict.fromkeys(sorted(nodes), CARDS)),
    holdings(),
    st.lists(WANTS, max_size=4),
)
@settings(max_examples=200)
def test_the_queue_starts_in_its_order_and_nobody_is_preempted_in_vain(
    capacity: dict[str, int], held: list[Holding], wants: list[Want]
) -> None:
    queue = [Want(f"want-{n}", w.nodes, w.cards, w.priority) for n, w in enumerate(wants)]
    decided = plan(capacity, queue, held)
    assert [job for job, _ in decided.starts] == [want.job for want in queue][: len(decided.starts)]
    now = list(held)
    for want, (job, nodes) in zip(queue, decided.starts, strict=False):
        assert fits(free_of(capacity, now), want)
        assert len(set(nodes)) == want.nodes
        now.append(Holding(job, nodes, want.cards, want.priority, False, False))
        assert all(cards >= 0 for cards in free_of(capacity, now).values())
    if len(decided.starts) == len(queue):
        assert decided.preempted == ()
        return
    head = queue[len(decided.starts)]
    assert not fits(free_of(capacity, now), head)
    may_go = [e for e in held if e.preemptible and not e.leaving and e.priority < head.priority]
    staying = [each for each in now if not each.leaving]
    helps = not fits(free_of(capacity, staying), head) and fits(
        free_of(capacity, [each for each in staying if each not in may_go]), head
    )
    assert bool(decided.preempted) == helps
    assert set(decided.preempted) <= {each.job for each in may_go}
    if helps:
        left = [each for each in staying if each.job not in decided.preempted]
        assert fits(free_of(capacity, left), head)
