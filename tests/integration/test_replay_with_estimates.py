"""``corridor replay --estimates``: figures as a table and as JSON."""

import json
import subprocess
import sys
from pathlib import Path

CORRIDOR = (sys.executable, "-c", "from scheduler.cli.main import main; main()")


def test_estimates_are_judged_beside_the_replay(tmp_path: Path) -> None:
    log = tmp_path / "small.swf"
    rows = [
        f"{number} {number * 7} -1 {40 + number * 13 % 200} {1 + number % 5} -1 -1 {1 + number % 5}"
        f" {60 + number * 13 % 200} -1 1 {number % 3} 1 -1 1 -1 -1 -1"
        for number in range(1, 121)
    ]
    log.write_text("; MaxProcs: 8\n" + "\n".join(rows) + "\n", encoding="utf-8")

    def run(*more: str) -> str:
        words = [*CORRIDOR, "replay", str(log), "--policy", "easy", "--estimates", "1", *more]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    assert "starts within the band" in run()
    (found,) = json.loads(run("--json"))["estimates"].values()
    assert found["jobs"] > 50
    assert found["covered"] > 0.8
    assert found["error_median_s"] < found["naive_error_median_s"] / 2
