"""What a center says can be told on, whatever characters it chose."""

import pytest

from adapters.contract import Accepted, Health, Observation, Phase
from adapters.errors import OutcomeUnknown, Rejected, Throttled, plain
from scheduler.rpc.run_messages import from_observation, to_observation

#: NUL and half a character, as JSON may hold them.
HOSTILE = "a\0b\ud800c"
TOLD = "a\ufffdb\ufffdc"


def test_every_text_of_a_center_fits_into_messages_and_databases() -> None:
    seen = Observation("j1.1", HOSTILE, Phase.RUNNING, 3, 1, message=HOSTILE)
    assert (seen.native_id, seen.message) == (TOLD, TOLD)
    assert Accepted("j1.1", HOSTILE, 1).native_id == TOLD
    assert Health(False, HOSTILE).detail == TOLD
    refused = Rejected(HOSTILE, HOSTILE)
    assert (str(refused), refused.reason) == (TOLD, TOLD)
    assert str(Throttled(HOSTILE, 1.0)) == str(OutcomeUnknown(ValueError(HOSTILE))) == TOLD
    assert str(OutcomeUnknown()) == ""
    assert to_observation(from_observation(seen)) == seen


@pytest.mark.parametrize("text", ["", "第 3 行: 错误", "two\nlines\tand a tab", "\U0001f600"])
def test_what_is_text_stays_as_it_is(text: str) -> None:
    assert plain(text) == text
