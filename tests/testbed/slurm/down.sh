#!/usr/bin/env bash
# Stops what up.sh started in DIR:   down.sh [DIR] [--purge]
# Only processes that DIR's pid files name, and job steps of that cluster, are ended. --purge removes
# DIR as well.
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
if [[ ! -d $DIR/run ]]; then
    say "nothing runs in $DIR"
    exit 0
fi

# stop DAEMON SECONDS: ask it to end, kill it if it does not.
stop() {
    local pid
    pid=$(pid_of "$1")
    if alive "$1"; then
        say "stopping $1"
        kill -CONT "$pid" 2>/dev/null
        kill "$pid" 2>/dev/null
        for ((i = 0; i < $2 * 20; i++)); do
            alive "$1" || break
            sleep 0.05
        done
        if alive "$1"; then
            say "$1 ($pid) does not end, killing it"
            kill -9 "$pid" 2>/dev/null
        fi
    fi
    rm -f "$DIR/run/$1.pid"
}

# Job steps outlive their slurmd; this cluster's are those that know its configuration or hold its files.
steps() {
    local exe pid
    for exe in /proc/[0-9]*/exe; do
        pid=${exe#/proc/} pid=${pid%/exe}
        is "$pid" slurmstepd || continue
        if tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qx "SLURM_CONF=$SLURM_CONF" \
            || ls -l "/proc/$pid/fd" 2>/dev/null | grep -q " $DIR/"; then
            echo "$pid"
        fi
    done
}

stop slurmrestd 5
stop slurmctld 30
for file in "$DIR"/run/slurmd-*.pid; do
    if [[ -e $file ]]; then
        stop "$(basename "$file" .pid)" 10
    fi
done
for pid in $(steps); do
    for child in $(cat /proc/"$pid"/task/*/children 2>/dev/null); do
        kill -9 -- "-$child" 2>/dev/null || kill -9 "$child" 2>/dev/null
    done
    kill -9 "$pid" 2>/dev/null
done
stop slurmdbd 20
stop mariadbd 60
stop munged 5
if [[ ${2:-} == --purge ]]; then
    rm -rf "$DIR"
    say "removed $DIR"
fi
exit 0
