#!/usr/bin/env bash
# Starts one daemon of a cluster that up.sh has set up:   daemon.sh DIR NAME
# NAME is munged, mariadbd, slurmdbd, slurmctld, slurmrestd or slurmd-NODE. Does nothing if it runs.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
source "$DIR/env.sh"
name=$2
log=$DIR/log/$name.log
if alive "$name"; then
    exit 0
fi
say "starting $name"
rm -f "$DIR/run/$name.pid"
ulimit -n 65536 2>/dev/null || true
ulimit -s unlimited 2>/dev/null || true
case $name in
munged)
    rm -f "$DIR"/run/munge.sock*
    munged --force --key-file="$DIR/etc/munge.key" --socket="$DIR/run/munge.sock" \
        --pid-file="$DIR/run/munged.pid" --log-file="$log" --seed-file="$DIR/run/munged.seed" \
        --num-threads="$MUNGE_THREADS" >>"$log" 2>&1 || die munged ;;
mariadbd)
    setsid mariadbd --no-defaults --user=root --datadir="$DIR/sql" --socket="$DIR/run/sql.sock" \
        --port="$SQL_PORT" --bind-address=127.0.0.1 --skip-name-resolve \
        --pid-file="$DIR/run/mariadbd.pid" --innodb-buffer-pool-size=256M \
        --innodb-lock-wait-timeout=900 --innodb-flush-log-at-trx-commit=2 \
        </dev/null >>"$log" 2>&1 & ;;
slurmdbd) slurmdbd >>"$log" 2>&1 </dev/null || die slurmdbd ;; # finds its file beside slurm.conf
slurmctld) slurmctld >>"$log" 2>&1 </dev/null || die slurmctld ;;
slurmd-*)
    mkdir -p "$DIR/spool/${name#slurmd-}"
    slurmd -N "${name#slurmd-}" >>"$log" 2>&1 </dev/null || die "$name" ;;
slurmrestd) # refuses to run as root or as Slurm's user
    SLURM_JWT=daemon setsid slurmrestd -u nobody -g nogroup -a rest_auth/jwt -t "$REST_THREADS" \
        "127.0.0.1:$REST_PORT" ${REST_ALSO:+"$REST_ALSO:$REST_PORT"} </dev/null >>"$log" 2>&1 &
    echo $! >"$DIR/run/slurmrestd.pid" ;;
*) die "no daemon is called $name" ;;
esac
