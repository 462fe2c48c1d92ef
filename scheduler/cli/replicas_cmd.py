"""``corridor replicas``: the services on this database, and which of them leads."""

import typer
from corridor.v1 import replica_pb2 as pb

from scheduler.cli.client_command import add
from scheduler.cli.message_json import print_json, to_json
from scheduler.cli.output import Cell, Column, local
from scheduler.cli.session import Session


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, "replicas", list_replicas, panel="Centers and people")


def list_replicas(session: Session) -> None:
    """List the services on this database: where each is, and which one leads.

    Shown is who was seen within an hour and did not end in order.
    """
    found = session.client.identity.ListReplicas(pb.ListReplicasRequest()).replicas
    if session.as_json:
        print_json({"replicas": [to_json(one) for one in found]})
        return
    columns = [
        Column("replica.name"),
        Column("replica.address"),
        Column("replica.leads"),
        Column("replica.epoch", right=True, rank=1),
        Column("replica.version", rank=3),
        Column("replica.started", rank=4),
        Column("replica.seen", rank=2),
        Column("replica.number", right=True, rank=5),
    ]
    rows: list[list[str | Cell]] = [
        [
            one.name,
            one.address,
            session.out.t("replica.yes" if one.leads else "replica.no"),
            str(one.epoch) if one.leads else "",
            one.version,
            f"{local(one.start_time):%Y-%m-%d %H:%M:%S}",
            f"{local(one.seen_time):%Y-%m-%d %H:%M:%S}",
            str(one.number),
        ]
        for one in found
    ]
    session.out.table(columns, rows, "replica.none")
