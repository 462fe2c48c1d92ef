"""Settings of the control loop; seconds here are real seconds, whatever the clock's speed."""

from dataclasses import dataclass, field

from scheduler.placement.model import PolicySettings


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How often the loop looks and how much it does at once."""

    #: ``auto`` plans in process until Ray is up and whenever it is away; ``off`` never uses Ray.
    ray: str = "auto"
    #: Address of a Ray cluster; empty starts a local Ray.
    ray_address: str = ""
    #: File of the token that processes of the Ray show each other; a local Ray does without.
    ray_token_file: str = ""
    #: The database's own, so that planners of several services never meet in one cluster.
    ray_namespace: str = "corridor"
    #: A Ray that is silent for so long is away, in a call as between calls.
    ray_silence_s: float = 2.0
    #: Planner shards (actors of Ray) over which the cities are spread.
    shards: int = 2
    policy: PolicySettings = field(default_factory=PolicySettings)
    #: Plan at least so often, even when nothing was heard.
    tick_s: float = 1.0
    #: Wait this long after the first wake, so that what comes together is planned together.
    gather_s: float = 0.004
    #: Events of the feed told to the planner in one cycle.
    feed_batch: int = 20_000
    #: Runs admitted in one transaction.
    admit_batch: int = 500
    #: Runs sent to a center in one step, and calls at once.
    send_batch: int = 256
    send_concurrency: int = 32
    #: After so many calls that had no effect the job is queued again.
    send_tries_max: int = 8
    retry_s: float = 0.5
    #: An intent to send is made durable anew before it is so old, and before half its center's
    #: settle window: another leader may send what this process, stopped meanwhile, meant to.
    intent_max_age_s: float = 5.0
    #: A center that does not let us in is left alone for so long; its runs wait.
    unauthorized_pause_s: float = 60.0
    #: A run whose end was asked for, and which goes on, is asked again after so long.
    cancel_again_s: float = 30.0
    #: A run that its center took and has not begun for so long is taken back.
    start_timeout_s: float = 1_800.0
    #: A run that its center lets go on for so long beyond what is held for it gets more held, for
    #: so many seconds of scheduling time more, or is to end if nobody can pay for them.
    top_up_after_s: float = 60.0
    top_up_s: int = 600
    #: Seconds of scheduling time that programs get to save their work when a node is drained.
    drain_grace_s: float = 300.0
    #: A center is looked at when it hints at a change, and at least so often.
    follow_s: float = 2.0
    follow_tick_s: float = 0.01
    #: A center that does not answer is asked again after pauses that grow up to so many seconds.
    follow_pause_max_s: float = 8.0
    #: Centers hear so often which runs are over and settled, at most so many at once.
    acknowledge_s: float = 5.0
    acknowledge_batch: int = 1_000
    #: A center is asked so often how much it has.
    describe_s: float = 15.0
    #: A center silent for so long makes its runs UNKNOWN.
    unknown_after_s: float = 900.0
    #: A run whose outcome is unknown for so long is told of: somebody has to look at its hold.
    unknown_alarm_s: float = 1_800.0
    #: Metrics of queues, quotas and funds are read so often.
    metrics_s: float = 2.0
    #: Reasons why jobs wait are sampled so often, and kept for so many days of scheduling time.
    reasons_s: float = 10.0
    reasons_keep_d: float = 14.0
    #: So many days events and jobs that are over are kept; 0 for ever.
    events_keep_d: float = 90.0
    jobs_keep_d: float = 400.0
