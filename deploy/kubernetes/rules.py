"""Writes base/rules.yaml: the rules of deploy/prometheus as objects of the Prometheus operator.

python deploy/kubernetes/rules.py           writes it
python deploy/kubernetes/rules.py --check   fails if it is not what would be written
"""

import sys
from pathlib import Path
from typing import Final

import yaml

DEPLOY: Final = Path(__file__).parents[1]
WRITTEN: Final = DEPLOY / "kubernetes/base/rules.yaml"
_HEAD: Final = "# Written by deploy/kubernetes/rules.py from deploy/prometheus; change it there.\n"


def objects() -> str:
    """Return the objects as YAML, one for each file of rules."""
    made = []
    for path in sorted((DEPLOY / "prometheus").glob("*.rules.yml")):
        name = f"corridor-{path.name.removesuffix('.rules.yml')}"
        made.append(
            {
                "apiVersion": "monitoring.coreos.com/v1",
                "kind": "PrometheusRule",
                "metadata": {"name": name, "labels": {"app.kubernetes.io/name": "corridor"}},
                "spec": yaml.safe_load(path.read_text("utf-8")),
            }
        )
    return _HEAD + yaml.safe_dump_all(made, allow_unicode=True, sort_keys=False, width=100)


def main(arguments: list[str]) -> int:
    """Write, or check, and return the exit code."""
    if "--check" in arguments:
        if not WRITTEN.exists() or WRITTEN.read_text("utf-8") != objects():
            print(f"{WRITTEN} is out of date: run python deploy/kubernetes/rules.py")
            return 1
        return 0
    WRITTEN.write_text(objects(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
