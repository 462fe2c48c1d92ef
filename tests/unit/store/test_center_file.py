"""A file of centers brings the store in line: what it adds, changes, leaves and refuses."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.contract import Phase
from scheduler.store import center_file, centers, migrate, seed
from scheduler.store.center_file import Applied
from scheduler.store.database import Database
from scheduler.store.seed_centers import read_file, secret_in
from scheduler.store.seed_part import BadSeed
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.stores import Stores
from tests.unit.store.evicting_hands import running

NOW_MS = 1_790_000_000_000
WALL_MS = 1_800_000_000_000


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("centers") / "corridor.db"
    db = Database(f"sqlite:///{path}")
    migrate.upgrade(db.engine)
    db.write_future(lambda c: seed.load(c, seed.DATA, NOW_MS)).result()
    db.close()
    return path


@pytest.fixture
def db(template: Path, tmp_path: Path) -> Iterator[Database]:
    path = tmp_path / "corridor.db"
    path.write_bytes(template.read_bytes())
    db = Database(f"sqlite:///{path}")
    yield db
    db.close()


def flavor(code: str, **changed: Any) -> dict[str, Any]:
    return {
        "flavor": code, "name_zh": "卡", "name_en": "Card", "unit": "card",
        "architecture": "aarch64", "capacity_units": 24, "units_per_node": 8,
        "wall_limit_max_days": 14, **changed,
    }  # fmt: skip


def center(code: str, *flavors: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {
        "center": code, "name_zh": "中心", "name_en": "Center", "kind": "simulated",
        "settings": {"seed": 1}, "flavors": list(flavors), **changed,
    }  # fmt: skip


def samples() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((seed.DATA / "centers.yaml").read_text("utf-8"))[
        "centers"
    ]
    return found


def write(path: Path, *given: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump({"centers": list(given)}, allow_unicode=True), "utf-8")
    return path


def apply(db: Database, path: Path) -> Applied:
    given = read_file(path)
    return db.write_future(
        lambda c: center_file.apply(c, given, str(path), NOW_MS, WALL_MS)
    ).result()


def audit(db: Database) -> list[tuple[str, str, str, str, str, str]]:
    return [
        tuple(row)
        for row in db.read_sync(
            lambda c: c.exec_driver_sql(
                "SELECT actor, action, target, before, after, reason FROM audit_event"
                " WHERE actor = 'corridor serve' ORDER BY seq"
            ).all()
        )
    ]


def stored(db: Database, code: str) -> centers.CenterRow:
    return db.read_sync(lambda c: centers.get_center(c, code, NOW_MS))


# --- what it does ---------------------------------------------------------------------------------


def test_what_the_store_has_already_changes_nothing(db: Database, tmp_path: Path) -> None:
    before = db.read_sync(lambda c: c.exec_driver_sql("SELECT count(*) FROM event").scalar())
    assert apply(db, write(tmp_path / "c.yaml", *samples())) == Applied()
    after = db.read_sync(lambda c: c.exec_driver_sql("SELECT count(*) FROM event").scalar())
    assert (after, audit(db)) == (before, [])


def test_a_new_center_is_added_with_quotas_and_an_account(db: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", center("ezhou-ai", flavor("ezhou-ai/card")))
    applied = apply(db, path)
    assert applied.added == ["ezhou-ai", "ezhou-ai/card"]
    assert "wuhan-ai" in applied.only_stored
    assert "wuhan-sc/accelerator" in applied.only_stored
    row = stored(db, "ezhou-ai")
    assert (row.kind, row.state, row.flavors[0].pool.nominal_units) == ("simulated", "OPEN", 24)
    assert [entry[:3] for entry in audit(db)] == [
        ("corridor serve", "CENTER_ADDED", "centers/ezhou-ai"),
        ("corridor serve", "FLAVOR_ADDED", "centers/ezhou-ai/flavors/ezhou-ai/card"),
    ]
    assert audit(db)[0][5] == f"as {path} says"
    assert apply(db, path).added == []


def test_a_new_flavor_joins_a_center_that_is_there(db: Database, tmp_path: Path) -> None:
    ai, sc = samples()
    ai["flavors"].append(flavor("wuhan-ai/inference"))
    # The embedded center is built from its flavors, so that its settings change with them.
    applied = apply(db, write(tmp_path / "c.yaml", ai, sc))
    assert (applied.added, applied.changed) == (["wuhan-ai/inference"], ["wuhan-ai"])
    assert "wuhan-ai/inference" in stored(db, "wuhan-ai").settings


def test_changed_capacity_and_settings_are_set_and_audited(db: Database, tmp_path: Path) -> None:
    ai, sc = samples()
    ai["settings"] = {"seed": 7}
    ai["flavors"][0] |= {"capacity_units": 600, "wall_limit_max_days": 7}
    assert apply(db, write(tmp_path / "c.yaml", ai, sc)).changed == [
        "wuhan-ai",
        "wuhan-ai/ascend-910b",
    ]
    row = stored(db, "wuhan-ai")
    assert json.loads(row.settings)["seed"] == 7
    assert row.flavors[0].flavor.capacity_units == 600
    assert row.flavors[0].flavor.wall_limit_max_s == 7 * 86_400
    figures = {entry[1]: (json.loads(entry[3]), json.loads(entry[4])) for entry in audit(db)}
    assert figures["FLAVOR_CONFIGURED"] == (
        {"capacity_units": 632, "wall_limit_max_s": 1_209_600},
        {"capacity_units": 600, "wall_limit_max_s": 604_800},
    )
    assert figures["CENTER_CONFIGURED"][1]["settings.seed"] == "7"
    told = db.read_sync(
        lambda c: c.exec_driver_sql("SELECT kind FROM event ORDER BY seq DESC LIMIT 1").scalar()
    )
    assert told == "CATALOG_CHANGED"


def test_a_center_that_the_file_leaves_out_stays(db: Database, tmp_path: Path) -> None:
    before = stored(db, "wuhan-sc")
    applied = apply(db, write(tmp_path / "c.yaml", samples()[0]))
    assert applied.only_stored == ["wuhan-sc", "wuhan-sc/accelerator", "wuhan-sc/kunpeng-920"]
    assert stored(db, "wuhan-sc") == before


def test_what_operators_set_is_left_to_them(db: Database, tmp_path: Path) -> None:
    """State and make are no matter of the file; a grant set since gives way to it."""
    db.write_future(
        lambda c: c.exec_driver_sql("UPDATE center SET state = 'CORDONED' WHERE code = 'wuhan-sc'")
    ).result()
    db.write_future(
        lambda c: c.exec_driver_sql(
            "UPDATE flavor SET domestic = true, capacity_units = 12"
            " WHERE code = 'wuhan-sc/accelerator'"
        )
    ).result()
    assert apply(db, write(tmp_path / "c.yaml", *samples())).changed == ["wuhan-sc/accelerator"]
    row = stored(db, "wuhan-sc")
    assert row.state == "CORDONED"
    assert (row.flavors[0].flavor.domestic, row.flavors[0].flavor.capacity_units) == (True, 24)


def test_a_kind_changes_while_nothing_runs(db: Database, tmp_path: Path) -> None:
    ai, sc = samples()
    real = {**ai, "kind": "modelarts", "simulated": False, "settings": {"endpoint": "https://x"}}
    path = write(tmp_path / "c.yaml", real, sc)
    assert apply(db, path).changed == ["wuhan-ai"]
    row = stored(db, "wuhan-ai")
    assert (row.kind, row.simulated) == ("modelarts", False)
    assert json.loads(row.settings) == {"endpoint": "https://x"}


def test_a_kind_does_not_change_under_runs(tmp_path: Path) -> None:
    it = Hands(worlds.build(rules=()))
    uid = running(it)
    other = center("ai", kind="cloud", simulated=False)
    given = read_file(write(tmp_path / "c.yaml", other))
    with pytest.raises(BadSeed, match="cannot become cloud while 1 runs have not ended at it"):
        it.db.do(lambda c: center_file.planned(c, given, 0))
    it.db.do(lambda c: center_file.planned(c, [replace(given[0], kind="simulated")], 0))
    it.report(it.seen(uid, Phase.SUCCEEDED, 9, start_ms=it.clock.ms, end_ms=it.clock.ms))
    it.db.do(lambda c: center_file.planned(c, given, 0))


def test_unit_and_architecture_never_change(db: Database, tmp_path: Path) -> None:
    ai, sc = samples()
    sc["flavors"][0]["unit"] = "card"
    with pytest.raises(BadSeed, match=r"kunpeng-920: its unit is core and cannot become card"):
        apply(db, write(tmp_path / "c.yaml", ai, sc))
    assert audit(db) == []


def test_what_is_planned_is_what_will_be_stored(db: Database, tmp_path: Path) -> None:
    given = read_file(write(tmp_path / "c.yaml", center("a", flavor("a/card")), samples()[0]))
    planned = db.read_sync(lambda c: center_file.planned(c, given, NOW_MS))
    db.write_future(lambda c: center_file.apply(c, given, "f", NOW_MS, WALL_MS)).result()
    after = db.read_sync(lambda c: centers.list_centers(c, NOW_MS))
    assert [(row.center, row.kind, row.simulated, row.settings) for row in planned] == [
        (row.center, row.kind, row.simulated, row.settings) for row in after
    ]


# --- what it refuses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"kind": ""}, "c.yaml.centers[0].kind: must be a text"),
        ({"kinds": "slurm"}, "c.yaml.centers[0].kinds: is not known here"),
        ({"simulated": False}, "c.yaml.centers[0].simulated: must be true"),
        ({"settings": {"token": "s3cr3t"}}, "c.yaml.centers[0].settings.token: must not hold"),
        ({"settings": {"auth": {"sk": "x"}}}, "centers[0].settings.auth.sk: must not hold"),
        ({"settings": {"since": date(2026, 1, 1)}}, "c.yaml.centers[0].settings: must hold"),
        ({"flavors": [flavor("b/card")]}, "centers[0].flavors[0].flavor: must begin with a/"),
        ({"flavors": [flavor("a/x"), flavor("a/x")]}, "c.yaml: flavor 'a/x' is given twice"),
    ],
)
def test_wrong_files_are_refused_by_name(
    tmp_path: Path, changed: dict[str, Any], told: str
) -> None:
    path = write(tmp_path / "c.yaml", center("a", flavor("a/card"), **changed))
    with pytest.raises(BadSeed) as caught:
        read_file(path)
    assert told in caught.value.message
    assert "s3cr3t" not in caught.value.message


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    for text, told in (("centers: [", "c.yaml: line 1"), ("centers: 3\n", "c.yaml.centers: is ")):
        (tmp_path / "c.yaml").write_text(text, "utf-8")
        with pytest.raises(BadSeed, match=told):
            read_file(tmp_path / "c.yaml")
    with pytest.raises(BadSeed, match=r"nowhere\.yaml: cannot be read: No such file"):
        read_file(tmp_path / "nowhere.yaml")
    twice = write(tmp_path / "c.yaml", center("a", flavor("a/x")), center("a", flavor("a/y")))
    with pytest.raises(BadSeed, match="center 'a' is given twice"):
        read_file(twice)


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"token": {"file": "/etc/token"}, "api_key": {"env": "KEY"}}, None),
        ({"token_file": "/etc/token", "token_renew_s": 60, "user": "corridor"}, None),
        ({"password": ""}, None),
        ({"Password": "x"}, "Password"),
        ({"iam": {"user_password": "x"}}, "iam.user_password"),
        ({"many": [{"secret_key": "x"}]}, "many[0].secret_key"),
        ({"endpoint": "https://user:pass@host/"}, "endpoint"),
        ({"endpoint": "https://host:6820/a@b"}, None),
    ],
)
def test_secrets_written_down_are_noticed(settings: object, place: str | None) -> None:
    assert secret_in(settings) == place


def test_it_is_the_same_on_each_database(stores: Stores, tmp_path: Path) -> None:
    db = Database(stores.migrated())
    try:
        db.write_future(lambda c: seed.load(c, seed.DATA, NOW_MS)).result()
        ai, sc = samples()
        ai |= {"name_en": "Renamed", "kind": "cloud", "simulated": False}
        sc["flavors"][0]["capacity_units"] = 64
        path = write(tmp_path / "c.yaml", ai, sc, center("a", flavor("a/card")))
        applied = apply(db, path)
        assert applied.added == ["a", "a/card"]
        assert applied.changed == ["wuhan-ai", "wuhan-sc", "wuhan-sc/kunpeng-920"]
        assert apply(db, path) == Applied()
        row = stored(db, "wuhan-ai")
        assert (row.name_en, row.kind, row.simulated) == ("Renamed", "cloud", False)
    finally:
        db.close()
