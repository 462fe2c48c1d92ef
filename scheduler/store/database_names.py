"""What tells one database from all others, wherever the services that work on it run."""

import hashlib
import socket

from sqlalchemy import Connection

_OF_POSTGRESQL = (
    "SELECT (SELECT system_identifier FROM pg_control_system())::text || '/' || oid::text"
    " FROM pg_database WHERE datname = current_database()"
)


def name_of(connection: Connection) -> str:
    """Return 12 hex digits: the same through every replica, other for every other database.

    Of PostgreSQL they are the server's own name and the database's number, of SQLite this machine
    and the file.
    """
    if connection.dialect.name == "postgresql":
        told = str(connection.exec_driver_sql(_OF_POSTGRESQL).scalar_one())
    else:
        rows = connection.exec_driver_sql("PRAGMA database_list").all()
        told = f"{socket.gethostname()}:{rows[0][2]}"
    return hashlib.sha256(told.encode()).hexdigest()[:12]
