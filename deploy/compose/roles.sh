#!/usr/bin/env bash
# PostgreSQL runs this once, on an empty volume: the database, its owner and who serves from it.
set -euo pipefail
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" \
    --set owner="$(</run/secrets/db-owner-password)" --set app="$(</run/secrets/db-app-password)" <<'SQL'
CREATE ROLE corridor_service NOLOGIN;
CREATE ROLE corridor_owner LOGIN PASSWORD :'owner';
CREATE ROLE corridor_app LOGIN PASSWORD :'app' IN ROLE corridor_service;
CREATE DATABASE corridor OWNER corridor_owner TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';
REVOKE ALL ON DATABASE corridor FROM PUBLIC;
GRANT CONNECT ON DATABASE corridor TO corridor_service;
SQL
