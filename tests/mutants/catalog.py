"""The seeded faults of ``mutants.toml``: each breaks one rule, and names the test that must see it.

[[mutant]]
name = "a city may borrow above its limit"
path = "quota/instant.py"
find = "used + units > nominal + borrow"
replace = "used + units > nominal + borrow + 1"
test = "tests/property/test_instant_quota.py::test_no_limit_is_passed"
"""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
CATALOG: Final = Path(__file__).with_name("mutants.toml")


class BadCatalog(Exception):
    """A fault cannot be seeded as it is written."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: ``find`` stands exactly once in the file at ``path`` (from the root)."""

    name: str
    path: str
    find: str
    replace: str
    test: str

    def apply(self, root: Path) -> None:
        """Seed the fault below ``root``."""
        file = root / self.path
        file.write_text(self.mutated(file.read_text("utf-8")), "utf-8")

    def mutated(self, text: str) -> str:
        """Return the text of its file with the fault in it; raises ``BadCatalog``."""
        found = text.count(self.find)
        if found != 1:
            raise BadCatalog(f"{self.name!r}: its text stands {found} times in {self.path}")
        if self.find == self.replace:
            raise BadCatalog(f"{self.name!r}: changes nothing")
        return text.replace(self.find, self.replace)


def load(path: Path = CATALOG) -> list[Mutant]:
    """Return all seeded faults; raises ``BadCatalog`` for a field too many or too few."""
    wanted = {field.name for field in fields(Mutant)}
    found: list[Mutant] = []
    for entry in tomllib.loads(path.read_text("utf-8")).get("mutant", []):
        if set(entry) != wanted or not all(isinstance(value, str) for value in entry.values()):
            raise BadCatalog(f"{entry.get('name')!r}: needs the texts {', '.join(sorted(wanted))}")
        found.append(Mutant(**entry))
    names = [mutant.name for mutant in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadCatalog(f"named twice: {', '.join(twice)}")
    return found
