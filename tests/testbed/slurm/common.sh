# Sourced by the scripts beside it: where a cluster lies, and what they share.
# DIR is the cluster's folder; all that the cluster writes lies under it.

DIR=$(realpath -m "${1:-${CORRIDOR_TESTBED:-/var/tmp/corridor-testbed}}")
export DIR
export SLURM_CONF=$DIR/etc/slurm.conf

say() { echo "[slurm] $*" >&2; }

die() {
    echo "[slurm] failed: $*" >&2
    for file in "$DIR"/log/*.log; do
        echo "--- $file" >&2
        tail -n 8 "$file" >&2
    done
    exit 1
}

# wait_for SECONDS WHAT COMMAND...
wait_for() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    while ((SECONDS < end)); do
        timeout 5 "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    die "$what does not answer"
}

# is PID PROGRAM: whether that process runs that program (Debian's slurmd is slurmd-wlm).
is() {
    [[ -n $1 && $(basename "$(readlink "/proc/$1/exe" 2>/dev/null)") =~ ^"$2"(-wlm)?$ ]]
}

# pid_of DAEMON: what its pid file says, if anything.
pid_of() { cat "$DIR/run/$1.pid" 2>/dev/null || true; }

# program_of DAEMON: slurmd-cpu1 is a slurmd.
program_of() { echo "${1%%-*}"; }

alive() { is "$(pid_of "$1")" "$(program_of "$1")"; }
