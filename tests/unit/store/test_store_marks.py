"""SQL that is written once, with ``?`` marks, as PostgreSQL's driver takes it."""

import pytest

from scheduler.store.bulk import listed, text_array
from scheduler.store.database import BadDatabase, open_engine
from scheduler.store.engine import translated
from tests.postgres import Postgres


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("SELECT 1", "SELECT 1"),
        ("SELECT a WHERE b = ? AND c IN (?, ?)", "SELECT a WHERE b = %s AND c IN (%s, %s)"),
        ("SELECT '?' || ?", "SELECT '?' || %s"),
        ("SELECT 'it''s ?', ?", "SELECT 'it''s ?', %s"),
        ('SELECT "a?b" FROM t WHERE c = ?', 'SELECT "a?b" FROM t WHERE c = %s'),
        ("SELECT a % ? FROM t", "SELECT a %% %s FROM t"),
        ("SELECT a WHERE b LIKE '1%?' AND c = ?", "SELECT a WHERE b LIKE '1%%?' AND c = %s"),
        ("SELECT ? -- why?\n, ?", "SELECT %s -- why?\n, %s"),
        ("SELECT ? /* ? */ , ?", "SELECT %s /* ? */ , %s"),
        ("SELECT ?::text[]", "SELECT %s::text[]"),
    ],
)  # fmt: skip
def test_marks_are_translated_and_literals_left_alone(written: str, sent: str) -> None:
    assert translated(written) == sent


def test_lists_of_marks_are_one_mark_each_and_the_others_keep_their_values() -> None:
    written = (
        "SELECT a WHERE b = ? AND c IN (?, ?) AND d > ? AND e IN (?) AND f IN (1, 2) AND g < ?"
    )
    sent = (
        "SELECT a WHERE b = ? AND c = ANY(?::text[]) AND d > ? AND e = ANY(?::text[])"
        " AND f IN (1, 2) AND g < ?"
    )
    told = (1, '{"x","y"}', 2, '{"z"}', 3)
    assert listed(written, (1, "x", "y", 2, "z", 3)) == (sent, told)


def test_any_text_is_in_an_array_what_it_is(postgres: Postgres) -> None:
    texts = ["", "a,b", 'say "no"', "back\\slash", "{}", "NULL", " 武汉 "]
    with postgres.session() as connection:
        for given in (texts, [None, *texts, None], [""], [None]):
            told = connection.execute("SELECT %s::text[]", (text_array(given),)).fetchone()
            assert told == (given,)
    assert text_array([]) == "{}"


@pytest.mark.parametrize("url", ["", "corridor.db", "mysql://a@b/c", "postgresql+asyncpg://a@b/c"])
def test_what_is_no_url_of_a_known_database_is_refused(url: str) -> None:
    with pytest.raises(BadDatabase, match="postgresql://USER@HOST/NAME"):
        open_engine(url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_each_way_to_write_a_url_of_postgresql_opens_its_driver(scheme: str) -> None:
    engine = open_engine(f"{scheme}://corridor:secret@db.example/corridor?application_name=mine")
    assert (engine.dialect.name, engine.driver) == ("postgresql", "psycopg")
