"""Lint the protos and refuse changes that break released clients, without network.

    python proto/tools/check.py              lint, then compare with proto/released
    python proto/tools/check.py --release    lint, then make this state the released one

buf comes from the wheel buf-bin; google/rpc/status.proto, which our protos import, from the wheel
googleapis-common-protos. It is copied beside ours into a temporary module, so that buf needs no
registry; rules are not applied to it.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

PROTO = Path(__file__).resolve().parent.parent
BASELINE = PROTO / "released" / "corridor-v1.binpb"
BORROWED = Path("google/rpc/status.proto")


def find_buf() -> str:
    """Path of buf: beside the running Python, else on the PATH.

    Raises:
        SystemExit: There is none.
    """
    beside = Path(sys.executable).parent / "buf"
    found = str(beside) if beside.exists() else shutil.which("buf")
    if found is None:
        raise SystemExit("buf not found: run `make setup-dev`")
    return found


def build_module(folder: Path) -> None:
    """Lay out buf.yaml, our protos and the borrowed one below ``folder``."""
    shutil.copytree(PROTO / "corridor", folder / "corridor")
    shutil.copy(PROTO / "buf.yaml", folder)
    wheel = distribution("googleapis-common-protos")
    (folder / BORROWED).parent.mkdir(parents=True)
    shutil.copy(str(wheel.locate_file(BORROWED)), folder / BORROWED)


def buf(folder: Path, *arguments: str) -> int:
    """Run buf in ``folder``; returns its exit status, its findings go to the terminal."""
    return subprocess.run([find_buf(), *arguments], cwd=folder, check=False).returncode


def main() -> int:
    """Lint, then compare or release; returns the exit status."""
    parser = argparse.ArgumentParser(description="Lint protos and refuse breaking changes.")
    parser.add_argument("--release", action="store_true", help="make this state the released one")
    release = parser.parse_args().release
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_module(folder)
        if status := buf(folder, "lint"):
            return status
        if release:
            BASELINE.parent.mkdir(exist_ok=True)
            return buf(folder, "build", "--exclude-source-info", "-o", str(BASELINE))
        return buf(folder, "breaking", "--against", str(BASELINE))


if __name__ == "__main__":
    sys.exit(main())
