"""``corridor doctor`` on Ray and centers (English, Chinese)."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    # Ray.
    "doctor.ray_off": (
        "planner.ray is off: plans are made in the service",
        "planner.ray 为 off：在服务内规划",
    ),
    "doctor.ray_local": (
        "a Ray of the service's own, release {release}",
        "由服务自行启动的 Ray，版本 {release}",
    ),
    "doctor.ray_cluster": (
        "the cluster at {address} answers and knows the token",
        "集群 {address} 有应答且令牌有效",
    ),
    "doctor.ray_away": (
        "{why}\nstart it or correct the setting; until then plans are made in the service",
        "{why}\n启动它或改正设置；在此之前由服务自行规划",
    ),
    "doctor.ray_unused": (
        "the leader plans in its own process, not on Ray\n"
        "its log (ray_away, planner_away) says why",
        "主导副本在自身进程内规划，未使用 Ray\n其日志（ray_away、planner_away）说明原因",
    ),
    # Centers.
    "doctor.no_centers": ("there are no centers", "没有算力中心"),
    "doctor.center_simulated": (
        "{center} is simulated, in the service itself",
        "{center} 为模拟中心，在服务内部",
    ),
    "doctor.center": ("{center}: {what}", "{center}：{what}"),
    "doctor.center_bad": ("{center}: {what}\n{to_do}", "{center}：{what}\n{to_do}"),
    "doctor.center_closed": (
        "{center} takes no new runs: it is {state}\nopen it when it may: corridor center resume",
        "{center} 不接受新的运行：状态 {state}\n可以时予以开放：corridor center resume",
    ),
    "doctor.center_heard": (
        "{center}: the service heard of it {age} ago",
        "{center}：服务在 {age}前收到其应答",
    ),
    "doctor.center_never": (
        "{center} has never answered the service: {why}\n"
        "corridor center check tries the way to it step by step",
        "{center} 从未应答服务：{why}\n用 corridor center check 逐步检查通路",
    ),
    "doctor.center_silent": (
        "{center} has not answered the service for {age}: {why}\n"
        "ask the center; corridor center check tries the way to it step by step",
        "{center} 已 {age} 未应答服务：{why}\n询问该中心；用 corridor center check 逐步检查通路",
    ),
    "doctor.agent_never": (
        "{center}: its agent has not connected: {why}\nstart corridor agent near the center",
        "{center}：其代理尚未连接：{why}\n在中心一侧启动 corridor agent",
    ),
    "doctor.agent_silent": (
        "{center}: its agent was last heard of {age} ago: {why}\n"
        "look at its log near the center, and start it again",
        "{center}：最近收到其代理消息是 {age}前：{why}\n在中心一侧查看其日志并重新启动",
    ),
    "doctor.agent_not_asked": (
        "{center} is reached through its agent, and no service that answers here tells of it (with"
        " an operator's token the one that leads is asked)",
        "{center} 通过代理访问，此处有应答的服务都未告知其情况（给出操作员令牌时会询问主导者）",
    ),
    "doctor.agent_away": (
        "{center}: its agent is not connected\nlook at its log near the center, and start it again",
        "{center}：其代理未连接\n在中心一侧查看其日志并重新启动",
    ),
    "doctor.agent_connected": ("{center}: its agent is connected", "{center}：其代理已连接"),
    "doctor.center_unreached": (
        "{center} does not answer the service\n"
        "corridor center show says since when; corridor center check tries the way to it",
        "{center} 未应答服务\ncorridor center show 显示自何时起；用 corridor center check 检查通路",
    ),
    "doctor.breaker": (
        "{center}: calls are held back, for {n} in a row were not answered\n"
        "nothing at the gate: it opens with the next answer; ask the center",
        "{center}：连续 {n} 次无应答，已暂停调用\n门控无须处理：下次应答后恢复；询问该中心",
    ),
    "doctor.breaker_open": (
        "{center}: calls are held back, for too many were not answered\n"
        "nothing at the gate: it opens with the next answer; ask the center",
        "{center}：多次无应答，已暂停调用\n门控无须处理：下次应答后恢复；询问该中心",
    ),
    "doctor.not_answered": (
        "the service was not asked how it sees centers: {why}",
        "未能询问服务如何看待各中心：{why}",
    ),
}
