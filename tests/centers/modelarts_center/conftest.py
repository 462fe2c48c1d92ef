"""The official SDK, loaded once, and ModelArts centers for it to talk to."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.centers.modelarts_center import official_sdk
from tests.centers.modelarts_center.official_sdk import Rig, Sdk
from tests.modelarts_center.child import CenterProcess
from tests.modelarts_center.settings import CenterSettings

StartRig = Callable[..., Rig]


@pytest.fixture(scope="session")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Sdk:
    """The official SDK with a home directory of its own."""
    try:
        return official_sdk.load(tmp_path_factory.mktemp("home"))
    except ImportError as missing:
        pytest.skip(f"the official SDK is not installed ({missing}); make test-centers does it")


@pytest.fixture
def start(sdk: Sdk, tmp_path: Path) -> Iterator[StartRig]:
    """Starts a center with settings of the test's choice."""
    with ExitStack() as stack:

        def started(**settings: Any) -> Rig:
            center = stack.enter_context(
                CenterProcess(CenterSettings(tmp_path / "center", **settings))
            )
            rig = Rig(sdk, center)
            stack.callback(rig.client.close)
            return rig

        yield started


@pytest.fixture(scope="session")
def shared_rig(sdk: Sdk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One center with the settings that are its default, for all tests that need no others."""
    with CenterProcess(CenterSettings(tmp_path_factory.mktemp("center"))) as center:
        rig = Rig(sdk, center)
        yield rig
        rig.client.close()


@pytest.fixture
def rig(shared_rig: Rig) -> Rig:
    """A center with the settings that are its default, as it is when it is new."""
    shared_rig.control.wipe()
    return shared_rig
