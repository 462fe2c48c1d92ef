"""Runs that are plainly right, found by the database in one pass, so that others are looked at.

Nearly all runs are alike: one hold at one price, each leg held by one entry and resolved by one,
one record of use, one line for it. What the checks of a run ask of such a run can be told by a few
sums over it, which a database that joins whole tables makes many times faster than each check
makes its own. A run that differs in the least is not said to be wrong: it is left to the checks.
"""

from contextlib import suppress
from typing import Final

from sqlalchemy import Connection

from quota.calendar import period_bounds
from scheduler.store import frozen
from scheduler.store.database import bulk_read, bulk_stream
from scheduler.store.verification_runs import ALL, Runs

#: More are not named one by one to the database: then all are looked at.
_MOST: Final = 200_000
#: Legs and lines of a run are told apart by bits of 64.
_BITS: Final = 62

#: Whole tables without an order: nothing is faster than to hash them, whatever is guessed of how
#: many rows a run has.
_HASHING: Final = "; ".join(
    f"SET LOCAL enable_{way} = {{0}}" for way in ("nestloop", "mergejoin", "sort")
)
#: Runs to which more happened than these sums tell of.
_MORE: Final = """
SELECT job_uid, attempt FROM hold WHERE rev <> 0 OR (frozen, price_id, price_ufen) IN
    (SELECT * FROM unnest(?::text[], ?::text[], ?::bigint[]))
UNION ALL SELECT job_uid, attempt FROM rated_line WHERE revision <> 0 OR line <> 0
UNION ALL SELECT job_uid, attempt FROM usage_record GROUP BY job_uid, attempt
    HAVING count(*) > 1 OR max(charge_revision) <> 0
UNION ALL SELECT job_uid, attempt FROM correction
"""
_UNIT: Final = "CASE WHEN l.kind = 'GRANT' THEN 'UNIT_S' ELSE 'CNY' END"
#: Legs with what they are for; ``ours`` are those whose entries this pass understands. OFFSET 0
#: has each told once a leg, not once an entry.
_LEG: Final = f"""
SELECT l.job_uid, l.attempt, concat_ws('.', l.job_uid, l.attempt, l.rev, l.leg) AS leg_id,
    1::bigint << l.leg AS bit, l.debit_account, l.credit_account, l.amount_fen, l.posted_fen,
    l.shard, {_UNIT} AS ledger, l.debit_account NOT LIKE 'wallet:%' AS gives,
    l.credit_account LIKE 'payable:%' AS pays, l.kind = 'GRANT' AS free,
    l.kind <> 'GRANT' AND l.credit_account NOT LIKE 'claim:%' AS of_gross,
    l.rev = 0 AND l.leg BETWEEN 0 AND {_BITS - 1} AND l.debit_account NOT LIKE 'receivable:%'
        AND l.credit_account NOT LIKE 'receivable:%' AS ours
FROM hold_leg l OFFSET 0
"""
#: What the entries of a run come to, and whether each is what its leg says.
_ENTRY: Final = f"""
entry AS (SELECT job_uid, attempt,
    count(*) FILTER (WHERE holds) AS legs, bit_or(bit) FILTER (WHERE holds) AS held_legs,
    count(*) FILTER (WHERE NOT holds) AS resolved,
    bit_or(bit) FILTER (WHERE NOT holds) AS resolved_legs,
    bool_or(posted_fen > 0) AS posted,
    count(*) FILTER (WHERE posts AND gives) AS giving,
    bit_or(bit) FILTER (WHERE posts AND gives) AS giving_legs,
    sum(amount_fen) FILTER (WHERE holds AND of_gross) AS held_fen,
    sum(amount_fen) FILTER (WHERE holds AND free) AS held_free,
    sum(amount_fen) FILTER (WHERE posts AND pays) AS paid_fen,
    min(reason) FILTER (WHERE holds) AS held_for,
    min(reason) FILTER (WHERE NOT holds) AS settled_for, bool_and(well) AS entries_well
    FROM (SELECT job_uid, attempt, t.kind = 'PENDING' AS holds, t.kind = 'POST' AS posts,
        t.amount_fen, t.reason, l.posted_fen, l.bit, l.gives, l.pays, l.free, l.of_gross,
        coalesce(l.ours AND t.reverses = '' AND t.debit_account = l.debit_account
            AND t.credit_account = l.credit_account AND CASE t.kind
                WHEN 'PENDING' THEN t.code = 'HOLD' AND t.idem_key = 'hold:' || leg_id
                    AND t.amount_fen = l.amount_fen AND t.ledger = l.ledger
                    AND l.shard IN ('', t.shard)
                WHEN 'POST' THEN t.code = 'SETTLE' AND t.idem_key = 'settle:' || leg_id
                    AND t.amount_fen = l.posted_fen AND t.amount_fen > 0
                WHEN 'VOID' THEN t.code = 'SETTLE' AND t.idem_key = 'settle:' || leg_id
                    AND t.amount_fen = 0 AND l.posted_fen = 0
            END, FALSE) AS well
        FROM (SELECT * FROM transfer WHERE job_uid <> 0 OR kind <> 'DIRECT'
            OR code IN ('SETTLE', 'OVERRUN', 'CORRECT', 'CLAWBACK', 'WRITE_OFF')) t
        FULL JOIN ({_LEG}) l USING (job_uid, attempt, leg_id) OFFSET 0) AS each
    GROUP BY job_uid, attempt)
"""
#: What accounts gave a run, and whether each line is what a leg of the account posted.
_GIVEN: Final = f"""
given AS (SELECT s.job_uid, s.attempt, count(*) AS gifts,
    bit_or(1::bigint << s.line) AS gift_lines, bit_or(1::bigint << l.leg) AS gift_legs,
    sum(s.amount_fen) FILTER (WHERE s.ledger = 'UNIT_S') AS given_free,
    bool_and(coalesce(s.revision = 0 AND s.line BETWEEN 0 AND {_BITS - 1} AND l.posted_fen > 0
        AND r.version IS NOT NULL
        AND (s.cap_year IS NULL OR (s.start_ms >= y.from_ms AND s.start_ms < y.to_ms)),
        FALSE)) AS given_well
    FROM subsidy_line s LEFT JOIN hold_leg l ON l.job_uid = s.job_uid AND l.attempt = s.attempt
        AND l.debit_account = s.account_id AND l.posted_fen = s.amount_fen
        AND l.programme = s.programme AND l.rule_version = s.rule_version AND {_UNIT} = s.ledger
    LEFT JOIN rule_version r ON r.programme = s.programme AND r.version = s.rule_version
    LEFT JOIN unnest(?::bigint[], ?::bigint[], ?::bigint[]) AS y(year, from_ms, to_ms)
        ON y.year = s.cap_year
    GROUP BY s.job_uid, s.attempt)
"""
_DIGEST: Final = "left(encode(sha256(convert_to({}, 'UTF8')), 'hex'), 32)"
_FROZEN: Final = _DIGEST.format("frozen")
_USE: Final = _DIGEST.format(
    "concat_ws(E'\\t', center, native_id, submit_ms, segment, revision, start_ms, end_ms, units,"
    " raw_sha256, source)"
)
#: All that there is of a run. Joined whole: a row whose run has no others is not plain either.
_ALL: Final = f"""
FROM (SELECT job_uid, attempt, state, units, from_s, wall_limit_s, price_id, price_ufen, gross_fen,
    posted_fen, 'frozen ' || {_FROZEN} AS basis FROM hold WHERE rev = 0) AS hold
FULL JOIN (SELECT job_uid, attempt, units AS run_units, wall_limit_s AS run_wall_s,
    settled_ms IS NULL AS unsettled FROM run) AS run USING (job_uid, attempt)
FULL JOIN entry USING (job_uid, attempt)
FULL JOIN (SELECT job_uid, attempt, segment AS line_segment, price_id AS line_price, seconds,
    units AS line_units, free, gross_fen AS line_fen, billed, start_ms AS line_start_ms,
    end_ms AS line_end_ms FROM rated_line WHERE revision = 0 AND line = 0) AS rated
    USING (job_uid, attempt)
FULL JOIN (SELECT job_uid, attempt, segment, start_ms, end_ms, units AS used_units,
    'use ' || {_USE} AS digest FROM usage_record) AS used USING (job_uid, attempt)
FULL JOIN given USING (job_uid, attempt)
"""
#: Half up, as ``quota.amounts.round_fen``; numeric, for a product may be more than 64 bits hold.
_ROUND: Final = "div(2 * ({}) * price_ufen + 1000000, 2000000)"
_HELD: Final = _ROUND.format("units * wall_limit_s::numeric - coalesce(held_free, 0)")
_RATED: Final = _ROUND.format("line_units * seconds::numeric - free")
_PLAIN: Final = f"""
    state IN ('HELD', 'SETTLED', 'VOIDED') AND from_s = 0 AND price_ufen >= 0
    AND units = run_units AND wall_limit_s = run_wall_s AND unsettled = (state = 'HELD')
    AND entries_well IS NOT FALSE AND given_well IS NOT FALSE
    AND coalesce(legs, 0) <= {_BITS}
    AND coalesce(held_legs, 0) = (1::bigint << coalesce(legs, 0)::int) - 1
    AND coalesce(resolved, 0) = CASE WHEN state = 'HELD' THEN 0 ELSE coalesce(legs, 0) END
    AND coalesce(resolved_legs, 0) = CASE WHEN state = 'HELD' THEN 0 ELSE coalesce(held_legs, 0) END
    AND gross_fen = coalesce(held_fen, 0) AND gross_fen = {_HELD}
    AND units * wall_limit_s::numeric >= coalesce(held_free, 0)
    AND (coalesce(held_for, '') = '' OR held_for = basis)
    AND posted_fen = coalesce(paid_fen, 0) AND posted_fen = coalesce(line_fen, 0)
    AND (state = 'SETTLED') = (posted_fen <> 0 OR posted IS TRUE)
    AND coalesce(gifts, 0) <= {_BITS} AND coalesce(gifts, 0) = coalesce(giving, 0)
    AND coalesce(gift_legs, 0) = coalesce(giving_legs, 0)
    AND coalesce(gift_lines, 0) = (1::bigint << coalesce(gifts, 0)::int) - 1
    AND coalesce(given_free, 0) = coalesce(free, 0)
    AND CASE WHEN segment IS NULL AND line_segment IS NULL THEN settled_for IS NULL
        ELSE line_segment = segment AND line_start_ms = start_ms AND line_end_ms = end_ms
            AND line_units = used_units AND line_price = price_id AND end_ms >= start_ms
            AND seconds = div(end_ms::numeric - start_ms, 1000)
            AND free BETWEEN 0 AND line_units * seconds::numeric
            AND line_fen = CASE WHEN billed THEN {_RATED} ELSE 0 END
            AND (settled_for IS NULL OR settled_for = digest)
    END
"""


def others(connection: Connection) -> Runs:
    """Return the runs that are not plainly right; all, where the database does not tell."""
    if connection.dialect.name == "sqlite":
        return ALL
    values = (*_years(connection), *_odd(connection))
    connection.exec_driver_sql(_HASHING.format("off"))
    found = bulk_read(
        connection,
        f"WITH {_ENTRY}, {_GIVEN} {_MORE} UNION ALL SELECT job_uid, attempt {_ALL}"
        f" WHERE ({_PLAIN}) IS NOT TRUE",
        values,
    )
    connection.exec_driver_sql(_HASHING.format("on"))
    keys = sorted(set(found))
    return Runs(keys) if len(keys) <= _MOST else ALL


def _odd(connection: Connection) -> tuple[list[str], list[str], list[int]]:
    """What holds froze that cannot be read, has several prices, or another one than their own."""
    listed = connection.exec_driver_sql("SELECT price_id, price_ufen FROM price_version")
    prices: dict[str, int] = {row[0]: row[1] for row in listed}
    texts: list[str] = []
    ids: list[str] = []
    ufens: list[int] = []
    for text, price_id, ufen in bulk_stream(
        connection, "SELECT DISTINCT frozen, price_id, price_ufen FROM hold"
    ):
        with suppress(ValueError, TypeError, KeyError, IndexError, AttributeError):
            (price,) = frozen.read(text, price_id, ufen).prices
            if price[1:] == (ufen, price_id) and prices.get(price_id) == ufen:
                continue
        texts.append(text)
        ids.append(price_id)
        ufens.append(ufen)
    return texts, ids, ufens


def _years(connection: Connection) -> tuple[list[int], list[int], list[int]]:
    """The years of caps that lines name, each with its first and its last instant."""
    years: list[int] = []
    from_ms: list[int] = []
    to_ms: list[int] = []
    named = connection.exec_driver_sql(
        "SELECT DISTINCT cap_year FROM subsidy_line WHERE cap_year IS NOT NULL"
    )
    for (year,) in named:
        with suppress(ValueError):  # no year: nothing counts in it
            begins_ms, ends_ms = period_bounds(f"{year:04d}")
            years.append(year)
            from_ms.append(begins_ms)
            to_ms.append(ends_ms)
    return years, from_ms, to_ms
