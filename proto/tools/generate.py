"""Generate proto/gen from proto/corridor, or check that what is checked in is current.

    python proto/tools/generate.py            writes proto/gen
    python proto/tools/generate.py --check    changes nothing, exits 1 on any difference

The plugins are looked for beside the running Python first, so that no virtual environment needs to
be activated. Nothing is downloaded.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

PROTO = Path(__file__).resolve().parent.parent
GEN = PROTO / "gen"
PACKAGE = Path("corridor/v1")
KEPT = ("__init__.py", "py.typed")


def includes() -> Path:
    """Folder that holds ``google/rpc/status.proto``."""
    return Path(str(distribution("googleapis-common-protos").locate_file("")))


def sources() -> list[str]:
    """Our .proto files, relative to ``proto/``."""
    return sorted(path.relative_to(PROTO).as_posix() for path in (PROTO / PACKAGE).glob("*.proto"))


def generate(out: Path) -> None:
    """Write modules, stubs and package files of all protos below ``out``.

    Raises:
        subprocess.CalledProcessError: protoc or a plugin refused.
    """
    out.mkdir(parents=True, exist_ok=True)
    flags = [f"--{kind}_out={out}" for kind in ("python", "grpc_python")]
    flags += [f"--{kind}_out=quiet:{out}" for kind in ("mypy", "mypy_grpc")]
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I.", f"-I{includes()}", *flags, *sources()],
        cwd=PROTO,
        env={**os.environ, "PATH": search},
        check=True,
    )
    for source in sources():
        if "\nservice " not in (PROTO / source).read_text(encoding="utf-8"):
            # The plugin writes an empty service module for files that have no service.
            for empty in out.glob(f"{source.removesuffix('.proto')}_pb2_grpc.py*"):
                empty.unlink()
    for folder in (out / PACKAGE.parent, out / PACKAGE):
        for name in KEPT:
            (folder / name).touch()


def tree(root: Path) -> dict[str, bytes]:
    """Contents of all files below ``root`` by relative path, caches left out."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def drift() -> dict[str, bytes | None]:
    """Files in which proto/gen differs from what the protos give; None where none should be."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh, stored = tree(Path(folder)), tree(GEN)
    names = sorted(fresh.keys() | stored.keys())
    return {name: fresh.get(name) for name in names if fresh.get(name) != stored.get(name)}


def write(files: dict[str, bytes | None]) -> None:
    """Write or remove files below proto/gen."""
    for name, content in files.items():
        path = GEN / name
        if content is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def main() -> int:
    """Generate or check; returns the exit status."""
    parser = argparse.ArgumentParser(description="Generate proto/gen from proto/corridor.")
    parser.add_argument("--check", action="store_true", help="change nothing, fail on drift")
    check = parser.parse_args().check
    stale = drift()
    if not check:
        write(stale)
        return 0
    for name in stale:
        print(f"proto/gen/{name} differs from what its .proto gives", file=sys.stderr)
    if stale:
        print("run `make proto` and commit the result", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
