"""A charge that is lowered: exact sums, nobody bears more than before, debt is cut first."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from quota.corrections import Borne, Payer, gross_of, lowered, self_pay_of


@st.composite
def charges(draw: st.DrawFn) -> list[Borne]:
    """Charges as they come about: claims are never above what the wallet paid."""
    amounts = st.integers(0, 10**6) | st.integers(0, 9)
    subsidies = draw(
        st.lists(
            st.tuples(st.sampled_from([Payer.SUBSIDY, Payer.CLAIM]), amounts).map(
                lambda pair: Borne(*pair)
            ),
            max_size=4,
        )
    )
    claimed = sum(one.amount_fen for one in subsidies if one.payer is Payer.CLAIM)
    wallet = Borne(Payer.WALLET, claimed + draw(amounts))
    return [*subsidies, wallet, Borne(Payer.DEBT, draw(amounts))]


@given(charges(), st.data())
def test_a_lowered_charge_adds_up_and_burdens_nobody(
    borne: list[Borne], data: st.DataObject
) -> None:
    before = gross_of(borne)
    gross = data.draw(st.integers(0, before))
    amounts = lowered(borne, gross)
    after = [Borne(one.payer, fen) for one, fen in zip(borne, amounts, strict=True)]
    assert gross_of(after) == gross
    assert all(0 <= new.amount_fen <= old.amount_fen for old, new in zip(borne, after, strict=True))
    assert 0 <= self_pay_of(after) <= self_pay_of(borne)
    if gross < before and after[-1].amount_fen:
        assert after[-2].amount_fen == borne[-2].amount_fen, "debt is cut before the wallet"


@given(charges(), st.data())
def test_subsidies_are_in_proportion_rounded_down(borne: list[Borne], data: st.DataObject) -> None:
    """Unless that would have the enterprise pay more than it did."""
    before = gross_of(borne)
    assume(before)
    gross = data.draw(st.integers(0, before - 1))
    amounts = lowered(borne, gross)
    subsidies = [at for at, one in enumerate(borne) if one.payer in (Payer.SUBSIDY, Payer.CLAIM)]
    exact = [borne[at].amount_fen * gross / before for at in subsidies]
    for at, due in zip(subsidies, exact, strict=True):
        assert amounts[at] >= int(due * (1 - 1e-12)) - 1
    after = [Borne(one.payer, fen) for one, fen in zip(borne, amounts, strict=True)]
    if self_pay_of(after) < self_pay_of(borne):
        assert [amounts[at] for at in subsidies] == [
            borne[at].amount_fen * gross // before for at in subsidies
        ]


def test_a_worked_example() -> None:
    """1,000 fen, 30 % of it subsidized and 100 fen owed, come to 500: 150 stay with the fund."""
    borne = [Borne(Payer.SUBSIDY, 300), Borne(Payer.WALLET, 600), Borne(Payer.DEBT, 100)]
    assert lowered(borne, 500) == [150, 350, 0]


def test_what_rounding_leaves_stays_with_the_programmes() -> None:
    """Two programmes paid all of 10 fen; of 9 the enterprise pays nothing either."""
    borne = [Borne(Payer.SUBSIDY, 5), Borne(Payer.SUBSIDY, 5)]
    assert lowered(borne, 9) == [5, 4]


@pytest.mark.parametrize("gross", [-1, 1_001])
def test_a_charge_is_never_raised(gross: int) -> None:
    with pytest.raises(ValueError, match=r"0\.\.1000"):
        lowered([Borne(Payer.WALLET, 1_000)], gross)
