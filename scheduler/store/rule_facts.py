"""What subsidy rules ask about enterprises and contracts, as it stands in the store."""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection

from quota.rules import Applicant, Rule
from scheduler.store.bulk import Question, Rows, prompt_reads
from scheduler.store.database import bulk_read

#: (enterprise, contract number).
Contract = tuple[str, str]
#: Which jobs a programme gave something to; an array counts as one job.
Givers = Mapping[str, frozenset[int]]


class Payer(NamedTuple):
    """An enterprise as the money rules see it; lists by project."""

    enterprise: str
    applicant: Applicant
    lists: Mapping[str, frozenset[str]]

    @property
    def blocked(self) -> bool:
        """Whether it may not use anything."""
        return self.applicant.blocked


def load_payers(
    connection: Connection, enterprises: Iterable[str], rules: Iterable[Rule], now_ms: int
) -> dict[str, Payer]:
    """Read enterprises by code, with what these rules may ask of them at an instant."""
    asked = payers_asked(enterprises, tuple(rules), now_ms)
    return payers_told(*prompt_reads(connection, asked))


def payers_asked(
    enterprises: Iterable[str], rules: Collection[Rule], now_ms: int
) -> list[Question | None]:
    """Return the questions for enterprises: who, relations, listed projects, first support."""
    codes = tuple(sorted(set(enterprises)))
    if not codes:
        return [None] * 4
    marks = ", ".join(["?"] * len(codes))
    valid = "valid_from_ms <= ? AND (valid_to_ms IS NULL OR valid_to_ms > ?)"
    at = (now_ms, now_ms)
    lists = any(rule.project_list or any(one.project_list for one in rule.tiers) for rule in rules)
    return [
        (
            "SELECT code, city, size_class, sector, startup, blocked FROM enterprise"
            f" WHERE code IN ({marks})",
            codes,
        ),
        (
            "SELECT enterprise, center FROM related_party"
            f" WHERE enterprise IN ({marks}) AND {valid}",
            (*codes, *at),
        ),
        (
            "SELECT enterprise, list_name, project FROM listed_project"
            f" WHERE enterprise IN ({marks}) AND {valid}",
            (*codes, *at),
        )
        if lists
        else None,
        _support_asked(codes, rules, now_ms, valid),
    ]  # fmt: skip


def payers_told(rows: Rows, relations: Rows, listed: Rows, support: Rows) -> dict[str, Payer]:
    """Return the answers by enterprise."""
    related: dict[str, set[str]] = {}
    for code, center in relations:
        related.setdefault(code, set()).add(center)
    lists: dict[str, dict[str, set[str]]] = {}
    for code, name, project in listed:
        lists.setdefault(code, {}).setdefault(project, set()).add(name)
    since: dict[str, dict[str, int]] = {}
    for code, programme, year in support:
        since.setdefault(code, {})[programme] = int(year)
    return {
        code: Payer(
            code,
            Applicant(
                city, size, sector, bool(startup), bool(blocked),
                frozenset(related.get(code, ())), since.get(code, {}),
            ),
            {project: frozenset(names) for project, names in lists.get(code, {}).items()},
        )
        for code, city, size, sector, startup, blocked in rows
    }  # fmt: skip


def _support_asked(
    codes: tuple[str, ...], rules: Collection[Rule], now_ms: int, valid: str
) -> Question | None:
    """The question for first natural years of support, in these books or before.

    ``valid`` is the condition on what was said of the time before.
    """
    programmes = sorted(rule.programme for rule in rules if rule.support_years is not None)
    if not programmes:
        return None
    marks, names = ", ".join(["?"] * len(codes)), ", ".join(["?"] * len(programmes))
    where = f"enterprise IN ({marks}) AND programme IN ({names})"
    return (
        "SELECT enterprise, programme, min(year) FROM (SELECT enterprise, programme, year FROM"
        f" cap_counter WHERE {where} AND pending_fen + posted_fen > 0"
        " UNION ALL SELECT enterprise, programme, since_year FROM earlier_support"
        f" WHERE {where} AND {valid}) AS known GROUP BY enterprise, programme",
        (*codes, *programmes, *codes, *programmes, now_ms, now_ms),
    )


def load_givers(
    connection: Connection, contracts: Collection[Contract]
) -> dict[Contract, dict[str, frozenset[int]]]:
    """Read which programmes gave or hold something for jobs of contracts, and for which."""
    if not contracts:
        return {}
    marks = ", ".join(["(?, ?)"] * len(contracts))
    # The join is written in its order, and says what the index of contracts is limited to.
    found: dict[Contract, dict[str, set[int]]] = {}
    for enterprise, contract, programme, uid in bulk_read(
        connection,
        f"WITH asked (enterprise, contract) AS (VALUES {marks})"
        " SELECT j.enterprise, j.contract, l.programme, coalesce(j.array_uid, j.uid)"
        " FROM asked CROSS JOIN job j JOIN hold_leg l ON l.job_uid = j.uid"
        " JOIN hold h ON h.job_uid = l.job_uid AND h.attempt = l.attempt AND h.rev = l.rev"
        " WHERE j.enterprise = asked.enterprise AND j.contract = asked.contract"
        " AND j.contract <> '' AND l.programme IS NOT NULL"
        " AND (h.state = 'HELD' OR l.posted_fen > 0)",
        tuple(value for one in sorted(contracts) for value in one),
    ):
        givers = found.setdefault((enterprise, contract), {})
        givers.setdefault(programme, set()).add(uid)
    return {
        contract: {programme: frozenset(uids) for programme, uids in givers.items()}
        for contract, givers in found.items()
    }
