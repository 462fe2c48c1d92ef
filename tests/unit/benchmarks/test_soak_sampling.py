"""What processes hold, as the kernel tells."""

import os
import subprocess
import sys

from benchmarks.soak_sampling import Held, below, held, together


def test_a_process_holds_what_it_takes() -> None:
    before = held(os.getpid())
    taken = bytearray(os.urandom(1) * (64 << 20))
    reader, writer = os.pipe()
    after = held(os.getpid())
    os.close(reader)
    os.close(writer)
    assert after.own_bytes - before.own_bytes > len(taken) // 2
    assert after.descriptors == before.descriptors + 2
    assert after.resident_bytes >= after.own_bytes
    assert (after.processes, after.threads >= 1) == (1, True)


def test_what_is_gone_holds_nothing_and_children_are_found() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert child.pid in dict(below(os.getpid()))
    assert "input()" in dict(below(os.getpid()))[child.pid]
    assert together([child.pid, os.getpid()]).processes == 2
    child.communicate(b"\n")
    assert held(child.pid) == Held()
    assert child.pid not in dict(below(os.getpid()))
