#!/usr/bin/env bash
# Makes secrets/ for compose.yaml: passwords, tokens, the key of the ledger's digests, and an authority
# with a certificate of both replicas. What is there already is left alone. Needs openssl.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
mkdir -p secrets
chmod 0700 secrets
cd secrets

for name in db-admin-password db-owner-password db-app-password ray-token grafana-password; do
    [[ -e $name ]] || openssl rand -hex 32 | tr -d '\n' >"$name"
done
for center in wuhan-sc wuhan-ai; do
    [[ -e agent-$center.token ]] || : >"agent-$center.token"
done
[[ -e ledger-key.pem ]] || openssl genpkey -algorithm ed25519 -out ledger-key.pem
if [[ ! -e tls-ca.pem ]]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
        -subj "/CN=Corridor on this machine" -keyout tls-ca-key.pem -out tls-ca.pem
fi
if [[ ! -e tls-cert.pem ]]; then
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=corridor" \
        -keyout tls-key.pem -out tls.csr
    openssl x509 -req -in tls.csr -CA tls-ca.pem -CAkey tls-ca-key.pem -days 365 -out tls-cert.pem \
        -extfile <(printf '%s\n' \
            "subjectAltName=DNS:corridor,DNS:corridor-1,DNS:corridor-2,DNS:localhost,IP:127.0.0.1" \
            "basicConstraints=critical,CA:FALSE" "extendedKeyUsage=serverAuth")
    rm tls.csr
fi
# The containers read them as users of their own; the folder keeps others out.
chmod 0444 -- *
chmod 0400 tls-ca-key.pem
chmod 0644 agent-*.token  # to be written when the service is up
