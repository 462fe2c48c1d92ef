"""Find out again what becomes of jobs under faults, and write docs/outcomes.md.

.venv/bin/python -m tests.centers [what to give to pytest, such as -k slurm]
"""

import os
import subprocess
import sys

from tests.centers.test_outcomes import WRITE

if __name__ == "__main__":
    sys.exit(
        subprocess.call(
            [sys.executable, "-m", "pytest", "-q", "tests/centers/test_outcomes.py", *sys.argv[1:]],
            env={**os.environ, WRITE: "1"},
        )
    )
