"""The planner on Ray: one actor per shard of cities, one root actor that plans.

The only module that imports Ray, and only when it is used: a start of Ray takes seconds, and the
service accepts jobs long before. Actors hold a cache: each call to the root carries the revision
it starts from, an actor that was restarted says it is stale and is refilled from the store. One
call a cycle, deltas in it, so Ray costs 2-3 ms a cycle whatever the number of jobs.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from scheduler.control.planner import PlannerAway
from scheduler.control.settings import LoopSettings
from scheduler.placement.core import StaleRevision, WaitingCounts
from scheduler.placement.model import Delta, Explanation, JobQueued, Plan

if TYPE_CHECKING:
    import ray

_START_TIMEOUT_S = 60.0
_LOAD_TIMEOUT_S = 60.0
_CALL_TIMEOUT_S = 3.0
_OBJECT_STORE_BYTES = 128 << 20
_NAMESPACE = "corridor"
_start_lock = threading.Lock()
