#!/usr/bin/env bash
# Installs the system packages that some tests use, on Debian and Ubuntu as root: promtool, which
# checks alert rules and names of metrics. Without them those tests are skipped and say so; CI
# installs them first, and takes a skipped test for a failed one.
set -euo pipefail

if command -v promtool >/dev/null; then
    exit 0
fi
if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "promtool is missing and cannot be installed here (no root, or no apt-get)" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# The package starts a server where systemd runs; only its tool is wanted.
apt-get install -y -qq --no-install-recommends prometheus >/dev/null
if [[ -d /run/systemd/system ]]; then
    systemctl disable --now prometheus
fi
