#!/usr/bin/env bash
# Starts a whole real Slurm on loopback, as root, without systemd:   up.sh [DIR] [BASE_PORT]
#
# munged, mariadbd, slurmdbd, slurmctld, a slurmd for each node, slurmrestd with JWT. All that they
# write lies under DIR (/var/tmp/corridor-testbed); BASE_PORT (17100) is the first of 40 ports.
# down.sh stops it. On a cluster that runs already it starts what is missing.
#
# Variables, all optional:
#   PROFILE      test: quick answers | tuned: high throughput | default: Slurm's own   (test)
#   CPU_NODES    nodes of the partitions cpu and low                                   (2)
#   GPU_NODES    nodes of the partition gpu                                            (1)
#   NODE_CPUS    CPUs that each node claims; they need not exist                       (64)
#   NODE_MEM_MB  memory that each node claims                                          (65536)
#   NODE_GPUS    cards of each node of gpu; they are files                             (8)
#   ACCOUNTS     accounts of the user                  (the sample cities, and corridor)
#   TOKEN_TTL_S  life of the token in DIR/run/token                                    (86400)
#   REST_ALSO    a further address at which slurmrestd listens
#   MAX_JOBS, MIN_JOB_AGE_S, REST_THREADS   Slurm's MaxJobCount, MinJobAge; threads of slurmrestd
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
source "$here/common.sh"
base=${2:-17100}
user=corridor
accounts=${ACCOUNTS:-wuhan ezhou huanggang huangshi xianning corridor}

if [[ $EUID -ne 0 ]]; then
    echo "a real Slurm starts programs as other users, so it needs root: run this as root" >&2
    exit 1
fi
"$here/../install.sh" slurm

umask 022
mkdir -p "$DIR"/{etc,log,run,state,spool,sql,work}
chmod 755 "$DIR" "$DIR"/{etc,log,run}
chmod 700 "$DIR"/{state,sql}
[[ -s $DIR/etc/munge.key ]] || head -c 1024 /dev/urandom >"$DIR/etc/munge.key"
[[ -s $DIR/etc/jwt.key ]] || head -c 32 /dev/urandom >"$DIR/etc/jwt.key"
chmod 600 "$DIR"/etc/{munge,jwt}.key
id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
chown "$user" "$DIR/work"
[[ -s $DIR/env.sh ]] || "$here/config.sh" "$DIR" "$base"
source "$DIR/env.sh"

start() { "$here/daemon.sh" "$DIR" "$1"; }

start munged
wait_for 10 munged munge --socket="$DIR/run/munge.sock" -n

if [[ ! -d $DIR/sql/mysql ]]; then
    mariadb-install-db --no-defaults --user=root --datadir="$DIR/sql" \
        --auth-root-authentication-method=normal --skip-test-db \
        >"$DIR/log/mariadb-install.log" 2>&1 || die mariadb-install-db
fi
start mariadbd
sql() { mariadb --no-defaults -uroot --socket="$DIR/run/sql.sock" "$@"; }
wait_for 60 mariadbd mariadb --no-defaults -uroot --socket="$DIR/run/sql.sock" -e "select 1"
sql -e "create database if not exists slurm_acct_db;
    create user if not exists slurm@127.0.0.1 identified by 'slurm';
    grant all on slurm_acct_db.* to slurm@127.0.0.1;"

start slurmdbd
wait_for 60 slurmdbd sacctmgr -n list cluster
if [[ ! -e $DIR/run/accounts ]]; then
    sacctmgr -iQ add cluster lab >/dev/null || true
    sacctmgr -iQ add account "${accounts// /,}" Organization=corridor >/dev/null
    sacctmgr -iQ add user "$user" account="${accounts// /,}" >/dev/null
    : >"$DIR/run/accounts"
fi

start slurmctld
wait_for 60 slurmctld bash -c 'scontrol ping | grep -q "is UP"'
for node in $NODES; do start "slurmd-$node"; done
ready() {
    local up
    up=$(sinfo -hN -o '%N %T' | awk '$2 == "idle" || $2 == "mixed" || $2 == "allocated" {print $1}')
    [[ $(sort -u <<<"$up" | wc -w) == $(wc -w <<<"$NODES") ]]
}
export -f ready
export NODES
wait_for 60 "of the nodes $NODES one" bash -c ready

start slurmrestd
token=$(scontrol token username=$user lifespan="${TOKEN_TTL_S:-86400}")
(umask 077 && echo "${token#SLURM_JWT=}" >"$DIR/run/token")
wait_for 30 slurmrestd curl -sf -H "X-SLURM-USER-NAME: $user" \
    -H "X-SLURM-USER-TOKEN: ${token#SLURM_JWT=}" "$SLURM_REST_URL/slurm/v0.0.38/ping"

cpu_units=$(grep -c "^NodeName=cpu" "$SLURM_CONF" || true) gpu_units=$(grep -c "^NodeName=gpu" "$SLURM_CONF" || true)
cpu_units=$((cpu_units * ${NODE_CPUS:-64})) gpu_units=$((gpu_units * ${NODE_GPUS:-8}))
cat >"$DIR/centers.yaml" <<YAML
centers:
  - center: wuhan-sc
    name_zh: 武汉超算中心
    name_en: Wuhan Supercomputing Center
    kind: slurm
    simulated: false
    settings:
      endpoint: $SLURM_REST_URL
      user: $user
      token: {file: $DIR/run/token}
      cluster: lab
      work_dir: $DIR/work
      logs: {directory: $DIR/work}
      partitions:
        wuhan-sc/kunpeng-920:
          {partition: cpu, unit: core, units: $cpu_units, units_per_node: ${NODE_CPUS:-64}, architecture: aarch64}
        wuhan-sc/accelerator:
          {partition: gpu, unit: gres, gres: "gpu:ascend", units: $gpu_units, units_per_node: ${NODE_GPUS:-8}, architecture: aarch64}
    flavors:
      - flavor: wuhan-sc/kunpeng-920
        name_zh: 鲲鹏 920
        name_en: Kunpeng 920
        unit: core
        architecture: aarch64
        capacity_units: $cpu_units
        units_per_node: ${NODE_CPUS:-64}
        wall_limit_max_days: 7
        domestic: true
      - flavor: wuhan-sc/accelerator
        name_zh: 加速卡
        name_en: Accelerator card
        unit: card
        architecture: aarch64
        capacity_units: $gpu_units
        units_per_node: ${NODE_GPUS:-8}
        wall_limit_max_days: 7
YAML
cat <<INFO
A real Slurm $(sinfo --version | cut -d' ' -f2) runs in $DIR.

  REST             $SLURM_REST_URL   user $user, token in $DIR/run/token
  Slurm's own CLI  SLURM_CONF=$SLURM_CONF sinfo
  another token    SLURM_CONF=$SLURM_CONF scontrol token username=$user lifespan=3600
  as a center      $DIR/centers.yaml:

$(sed 's/^/    /' "$DIR/centers.yaml")

Stop it with: make testbed-stop
INFO
