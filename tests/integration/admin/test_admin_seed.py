"""Data files: what they give, that loading twice adds nothing, that errors name the place."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.placement.model import ReclaimSet
from scheduler.store import (
    centers,
    funds,
    links,
    migrate,
    planner_feed,
    quotas_flavors,
    seed,
)
from scheduler.store.database import Database
from scheduler.store.quotas_flavors import Reclaim
from scheduler.store.seed import Loaded
from scheduler.store.seed_files import BadSeed, read

NOW_MS = 1_790_000_000_000  # 2026-09-21


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = Database(f"sqlite:///{tmp_path / 'corridor.db'}")
    migrate.upgrade(db.engine)
    yield db
    db.close()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return Path(shutil.copytree(seed.DATA, tmp_path / "data"))


def _load(db: Database, directory: Path) -> Loaded:
    return db.write_future(lambda c: seed.load(c, directory, NOW_MS)).result()


def test_the_samples_load_once_and_only_once(db: Database) -> None:
    assert _load(db, seed.DATA) == Loaded(5, 2, 3, 15, 3, 15, 10, 11)
    before = db.read_sync(lambda c: c.exec_driver_sql("SELECT * FROM transfer").all())
    assert _load(db, seed.DATA) == Loaded(0, 0, 0, 0, 0, 0, 0, 0)
    assert db.read_sync(lambda c: c.exec_driver_sql("SELECT * FROM transfer").all()) == before
    assert db.read_sync(funds.verify).ok


def test_quotas_are_the_capacity_by_weight_to_the_last_unit(db: Database) -> None:
    _load(db, seed.DATA)
    sums = db.read_sync(
        lambda c: c.exec_driver_sql(
            "SELECT q.flavor, sum(q.nominal_units), f.capacity_units FROM city_quota q"
            " JOIN flavor f ON f.code = q.flavor GROUP BY q.flavor, f.capacity_units"
        ).all()
    )
    assert len(sums) == 3
    assert all(total == capacity for _, total, capacity in sums)


def test_what_was_set_since_is_kept(db: Database) -> None:
    _load(db, seed.DATA)
    db.write_future(
        lambda c: c.exec_driver_sql("UPDATE city_quota SET nominal_units = 7 WHERE city = 'ezhou'")
    ).result()
    _load(db, seed.DATA)
    kept = db.read_sync(
        lambda c: c.exec_driver_sql(
            "SELECT DISTINCT nominal_units FROM city_quota WHERE city = 'ezhou'"
        ).all()
    )
    assert [tuple(row) for row in kept] == [(7,)]


def test_a_simulated_center_knows_its_flavors(db: Database) -> None:
    _load(db, seed.DATA)
    rows = db.read_sync(lambda c: centers.list_centers(c, NOW_MS))
    assert '"units": 632' in rows[0].settings
    assert '"seed": 1' in rows[0].settings


def test_given_quotas_replace_the_computed(db: Database, files: Path) -> None:
    (files / "quotas.yaml").write_text(
        "quotas:\n"
        "  - {city: ezhou, flavor: wuhan-sc/accelerator, nominal_units: 4,"
        " borrow_limit_units: 8, lend_limit_units: 0}\n"
    )
    _load(db, files)
    rows = db.read_sync(
        lambda c: c.exec_driver_sql(
            "SELECT city, nominal_units, borrow_limit_units, lend_limit_units FROM city_quota"
            " WHERE flavor = 'wuhan-sc/accelerator' AND nominal_units > 0"
        ).all()
    )
    assert [tuple(row) for row in rows] == [("ezhou", 4, 8, 0)]


def test_flavors_are_given_the_corridors_part_and_how_lent_units_come_back(
    db: Database, files: Path
) -> None:
    """What is the corridor's own is not divided; what is not said has its default."""
    (files / "quotas.yaml").write_text(
        "flavors:\n"
        "  - {flavor: wuhan-sc/accelerator, corridor_units: 4, reclaim: evict, run_min_s: 60,"
        " rate_bps: 500}\n"
        "  - {flavor: wuhan-ai/ascend-910b, reclaim: lease, lease_s: 7200}\n"
        "quotas: []\n"
    )
    assert _load(db, files).flavor_quotas == 2
    rows = {row.pool.flavor: row for row in db.read_sync(quotas_flavors.list_flavor_quotas)}
    gpu, npu = rows["wuhan-sc/accelerator"], rows["wuhan-ai/ascend-910b"]
    assert (gpu.pool.corridor_units, gpu.pool.nominal_units) == (4, 20)
    assert gpu.reclaim == Reclaim("evict", run_min_s=60, rate_bps=500)
    assert (npu.pool.corridor_units, npu.reclaim) == (None, Reclaim("lease", lease_s=7200))
    assert (gpu.etag, rows["wuhan-sc/kunpeng-920"].etag) == ("1", "")
    told = db.read_sync(planner_feed.settings)
    assert ReclaimSet("wuhan-ai/ascend-910b", "lease", 7_200_000) in told
    db.write_future(
        lambda c: c.exec_driver_sql("UPDATE flavor_quota SET reclaim = 'churn', version = 2")
    ).result()
    assert _load(db, files).flavor_quotas == 0
    again = db.read_sync(quotas_flavors.list_flavor_quotas)
    assert {row.reclaim.mode for row in again} == {"churn"}, "what was set since is kept"


def test_what_comes_later_must_fit_beside_what_is_stored(db: Database, files: Path) -> None:
    _load(db, files)
    (files / "quotas.yaml").write_text(
        "quotas: []\nflavors: [{flavor: wuhan-sc/accelerator, corridor_units: 4}]\n"
    )
    with pytest.raises(BadSeed, match="come to 24 and the corridor's own to 4, the center grants"):
        _load(db, files)
    db.write_future(
        lambda c: c.exec_driver_sql("UPDATE city_quota SET nominal_units = 1 WHERE city = 'wuhan'")
    ).result()
    assert _load(db, files).flavor_quotas == 1
    db.write_future(lambda c: c.exec_driver_sql("UPDATE flavor SET capacity_units = 9")).result()
    assert _load(db, seed.DATA).quotas == 0, "a cut since then does not bar other files"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{flavor: x/y}", "flavors: flavor 'x/y' is not known"),
        ("{reclaim: lease}", r"flavors\[0\].flavor: is mandatory"),
        ("{flavor: wuhan-sc/accelerator, reclaim: LEASE}", "must be one of churn, evict, lease"),
        ("{flavor: wuhan-sc/accelerator, lease_s: 0}", r"flavors\[0\].lease_s: must be a whole"),
        ("{flavor: wuhan-sc/accelerator, rate_bps: 10001}", "rate_bps: must be at most 10000"),
        ("{flavor: wuhan-sc/accelerator, corridor: 4}", "corridor: is not known here"),
        ("{flavor: wuhan-sc/accelerator, corridor_units: 25}", "the corridor's own to 25"),
        (
            "{flavor: wuhan-sc/accelerator}\n  - {flavor: wuhan-sc/accelerator}",
            "wuhan-sc/accelerator is given twice",
        ),
    ],
)
def test_what_is_wrong_with_a_flavor_is_named(
    db: Database, files: Path, line: str, says: str
) -> None:
    (files / "quotas.yaml").write_text(f"quotas: []\nflavors:\n  - {line}\n")
    with pytest.raises(BadSeed, match=says) as caught:
        _load(db, files)
    assert "quotas.yaml" in caught.value.message
    assert db.read_sync(quotas_flavors.list_flavor_quotas) == []


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("cities.yaml", "cities: [{city: a, name_zh: a, name_en: a, weigth: 1}]", "weight"),
        ("cities.yaml", "cities: [{city: a, name_zh: a, name_en: a, weight: 0}]", r"\[0\].weight"),
        ("cities.yaml", "towns: []", "cities.yaml.cities"),
        ("cities.yaml", "cities: [\n  {city: a\n", "line"),
        ("cities.yaml", "cities: 5", "a list"),
        ("cities.yaml", "[]", "mapping"),
        ("villages.yaml", "villages: []", "known are cities.yaml"),
        ("prices.yaml", "prices: [{flavor: x, price_ufen: 1, effective_from: 5}]", "date"),
        (
            "prices.yaml",
            "prices: [{flavor: x/y, price_ufen: 1, effective_from: 2026-01-01}]",
            "'x/y' is not known",
        ),
        (
            "quotas.yaml",
            "quotas: [{city: ezhou, flavor: wuhan-sc/accelerator, nominal_units: 25}]",
            "the center grants 24",
        ),
        (
            "enterprises.yaml",
            "enterprises: [{enterprise: a, city: ezhou, name: a, uscc: '1'}]",
            r"enterprises\[0\].uscc",
        ),
        (
            "programmes.yaml",
            "programmes: [{programme: p, city: ezhou, name: p, document_ref: d, rate_bp: 10001}]",
            r"programmes\[0\]",
        ),
    ],
)
def test_an_error_names_file_and_place_and_stores_nothing(
    db: Database, files: Path, file: str, text: str, message: str
) -> None:
    (files / file).write_text(text)
    with pytest.raises(BadSeed, match=message) as caught:
        _load(db, files)
    assert file in caught.value.message
    assert db.read_sync(lambda c: c.exec_driver_sql("SELECT count(*) FROM city").scalar()) == 0


def test_an_empty_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSeed, match="has no data files"):
        read(tmp_path / "nowhere")


def test_lines_lead_from_each_city_to_each_center(db: Database) -> None:
    _load(db, seed.DATA)
    known = db.read_sync(links.load)
    assert known.nodes >= {"cities/ezhou", "centers/wuhan-ai"}
    assert known.mbit_s["cities/ezhou", "centers/wuhan-sc"] == 1000
    assert known.mbit_s["centers/wuhan-sc", "centers/wuhan-ai"] == 10_000, "the same both ways"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{from: cities/paris, to: centers/wuhan-ai, mbit_s: 1}", "'cities/paris' is not known"),
        ("{from: cities/ezhou, to: wuhan-ai, mbit_s: 1}", "links.yaml: to 'wuhan-ai'"),
        ("{from: cities/ezhou, to: cities/ezhou, mbit_s: 1}", "leads nowhere"),
        ("{from: cities/ezhou, to: centers/wuhan-ai, mbit_s: 0}", "mbit_s: must be a whole"),
    ],
)
def test_a_line_that_cannot_be_is_refused(db: Database, files: Path, line: str, says: str) -> None:
    (files / "links.yaml").write_text(f"links:\n  - {line}\n")
    with pytest.raises(BadSeed, match=says):
        _load(db, files)
