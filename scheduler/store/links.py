"""Lines for data between cities and centers, as they are stored."""

from sqlalchemy import Connection

from scheduler.domain.links import Link, Links


def load(connection: Connection) -> Links:
    """Return all lines, and all cities and centers that data may lie at."""
    run = connection.exec_driver_sql
    rows = [Link(*row) for row in run("SELECT one, other, mbit_s FROM link")]
    nodes = [f"cities/{code}" for (code,) in run("SELECT code FROM city")]
    nodes += [f"centers/{code}" for (code,) in run("SELECT code FROM center")]
    return Links.of(rows, nodes)
