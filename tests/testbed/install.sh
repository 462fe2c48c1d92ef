#!/usr/bin/env bash
# Installs the system packages that some tests use, on Debian and Ubuntu as root: promtool, which
# checks alert rules and names of metrics, and PostgreSQL's server, of which tests start their own.
# Without them those tests are skipped and say so; CI installs them first, and takes a skipped test
# for a failed one.
set -euo pipefail

packages=()
command -v promtool >/dev/null || packages+=(prometheus)
# Debian keeps the server's programs off the PATH, in a folder for each version.
if ! command -v pg_ctl >/dev/null && ! compgen -G "/usr/lib/postgresql/*/bin/pg_ctl" >/dev/null; then
    packages+=(postgresql)
fi
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
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
# A package may start a server where systemd runs; only its tools are wanted.
if [[ -d /run/systemd/system ]]; then
    for package in "${packages[@]}"; do
        systemctl disable --now "$package"
    done
fi
