#!/usr/bin/env bash
# Installs the system packages that some tests use, on Debian and Ubuntu as root: Prometheus and
# PostgreSQL's server, of which tests start their own; promtool, which comes with Prometheus and checks
# alert rules and names of metrics; systemd-analyze, which checks units; and Slurm with what it needs,
# of which tests/testbed/slurm/up.sh starts a whole cluster.
# Without them those tests are skipped and say so; CI installs them first, and takes a skipped test
# for a failed one.
#
#   tests/testbed/install.sh           all of them
#   tests/testbed/install.sh slurm     only what `make testbed` needs
#   tests/testbed/install.sh peers     only what `make bench-peers` needs: Slurm and PostgreSQL
set -euo pipefail

wanted=${1:-all}
packages=()
if [[ $wanted == all ]]; then
    if ! command -v promtool >/dev/null || ! command -v prometheus >/dev/null; then
        packages+=(prometheus)
    fi
    command -v systemd-analyze >/dev/null || packages+=(systemd)
fi
if [[ $wanted != slurm ]]; then
    # Debian keeps the server's programs off the PATH, in a folder for each version.
    if ! command -v pg_ctl >/dev/null && ! compgen -G "/usr/lib/postgresql/*/bin/pg_ctl" >/dev/null; then
        packages+=(postgresql)
    fi
fi
# The plugins for accounting and for JWT are packages of their own, which nothing else asks for.
for package in munge mariadb-server slurmctld slurmd slurmdbd slurm-client slurmrestd \
    slurm-wlm-basic-plugins slurm-wlm-mysql-plugin slurm-wlm-jwt-plugin; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed \
        || packages+=("$package")
done
if ((${#packages[@]} == 0)); then
    exit 0
fi
if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "missing, and cannot be installed here (no root, or no apt-get): ${packages[*]}" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
if [[ " ${packages[*]} " == *" postgresql "* ]]; then
    # Only the server's programs are wanted: no cluster of the system's own.
    mkdir -p /etc/postgresql-common/createcluster.d
    echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.d/corridor-tests.conf
fi
# Packages that bring a server would start it; only their programs are wanted.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
fi
wait=(-o DPkg::Lock::Timeout=300)
apt-get "${wait[@]}" update -qq
apt-get "${wait[@]}" install -y -qq --no-install-recommends "${packages[@]}" </dev/null >/dev/null
# Nor are they wanted when the machine starts the next time.
if [[ -d /run/systemd/system ]]; then
    for package in "${packages[@]}"; do
        if systemctl cat "${package%-server}" >/dev/null 2>&1; then
            systemctl disable "${package%-server}"
        fi
    done
fi
