"""Variables of the environment that a command of the client does not know."""

import pytest

from scheduler.cli.given import Given
from scheduler.cli.session import Session


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("en", "the variable CORRIDOR_TOKN means nothing and is left out; did you mean"),
        ("zh", "环境变量 CORRIDOR_TOKN 没有含义，已忽略；是否应为 CORRIDOR_TOKEN？"),
    ],
)
def test_a_variable_written_wrong_is_said_and_left_out(
    lang: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {"CORRIDOR_TOKEN": "cor_x", "CORRIDOR_STORE_URL": "sqlite:///a", "HOME": "/nonexistent"}
    for environment, lines in ((known, 0), ({**known, "CORRIDOR_TOKN": "x"}, 1)):
        session = Session("jobs", Given(lang=lang), environment)
        session.check()
        err = capsys.readouterr().err
        assert len(err.splitlines()) == lines
        assert said in err or not lines
