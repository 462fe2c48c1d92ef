"""``corridor ledger digests``, ``digest`` and ``check``: signed daily heads of the ledger."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from corridor.v1 import digest_pb2 as pb

from quota.digests import BadDigest, Digest, parse
from scheduler.cli import exits
from scheduler.cli.client_command import add
from scheduler.cli.failures import Failed
from scheduler.cli.message_json import print_json, to_json
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session, paged


def register(ledger: typer.Typer) -> None:
    """Add the commands to ``corridor ledger``."""
    add(ledger, "digests", list_digests)
    add(ledger, "digest", save_digest)
    add(ledger, "check", check)


def list_digests(
    session: Session,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=100_000, help="At most so many.")
    ] = 31,
) -> None:
    """List the signed daily digests of the ledger, newest first."""
    call = session.client.subsidies.ListLedgerDigests
    found = paged(call, pb.ListLedgerDigestsRequest(), "digests", limit)
    if session.as_json:
        print_json({"digests": [to_json(one) for one in found]})
        return
    columns = [
        Column("digest.day"),
        Column("digest.made", rank=1),
        Column("digest.entries", right=True),
        Column("digest.shards", right=True, rank=2),
        Column("digest.key", rank=3),
        Column("digest.sha256", rank=4),
    ]
    rows: list[list[str | Cell]] = [
        [
            one.day,
            session.out.when(one.made_time),
            f"{one.entry_count:,}",
            str(one.shard_count),
            one.key_id,
            one.sha256[:16],
        ]
        for one in found
    ]
    session.out.table(columns, rows, "digest.none")


def save_digest(
    session: Session,
    day: Annotated[
        str, typer.Argument(metavar="[DAY]", help="Such as 2026-03-05; the newest if left out.")
    ] = "",
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", file_okay=False, help="Where to put the files."),
    ] = Path(),
) -> None:
    """Save a digest, its signature and the public key, to keep them where nobody else can write."""
    found = session.client.subsidies.GetLedgerDigest(pb.GetLedgerDigestRequest(day=day))
    name = f"corridor-ledger-{found.digest.day}.txt"
    files = {
        name: found.text,
        f"{name}.sig": found.signature,
        f"corridor-ledger-{found.digest.key_id}.pub.pem": found.public_key_pem,
    }
    out.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (out / file).write_bytes(content)
    if session.as_json:
        print_json({"digest": to_json(found.digest), "files": [str(out / file) for file in files]})
        return
    for file in files:
        session.out.line(str(out / file))


def check(
    session: Session,
    digest: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIGEST...",
            exists=True,
            dir_okay=False,
            help="Digests that were kept, each with its .sig beside it.",
        ),
    ],
    key: Annotated[
        Path,
        typer.Option(
            "--key",
            metavar="PEM",
            exists=True,
            dir_okay=False,
            help="The public key that was kept.",
        ),
    ],
) -> int:
    """Check digests that were kept: signed by the key, and the ledger still goes through them."""
    from scheduler import signing  # here, for no other command waits for what it brings

    pem = key.read_bytes()

    def is_signed(text: str, signature: bytes) -> bool:
        try:
            return signing.is_signed(pem, text, signature)
        except signing.BadKey as error:
            raise Failed("digest.bad_key", exits.USAGE, file=key, why=error) from error

    problems = [
        f"{path}: {problem}" for path in digest for problem in _problems(session, path, is_signed)
    ]
    if session.as_json:
        print_json({"ok": not problems, "problems": problems})
    elif problems:
        session.out.line(session.t("digest.wrong", n=len(digest)), "red")
        for problem in problems:
            session.out.line(f"- {problem}")
    else:
        session.out.line(session.t("digest.right", n=len(digest)), "green")
    return exits.ERROR if problems else exits.OK


def _problems(session: Session, path: Path, is_signed: Callable[[str, bytes], bool]) -> list[str]:
    signature = path.with_name(f"{path.name}.sig")
    try:
        text = path.read_bytes().decode()
        found: Digest = parse(text)
        signed = is_signed(text, signature.read_bytes())
    except UnicodeDecodeError:
        return [session.t("digest.no_text")]
    except FileNotFoundError:
        return [session.t("digest.no_signature", file=signature.name)]
    except BadDigest as error:
        return [str(error)]
    if not signed:
        return [session.t("digest.not_signed")]
    heads = [
        pb.LedgerHead(shard=shard, sequence=seq, hash=head)
        for shard, (seq, head) in found.heads.items()
    ]
    answer = session.client.subsidies.VerifyLedgerHeads(pb.VerifyLedgerHeadsRequest(heads=heads))
    return list(answer.problems)
