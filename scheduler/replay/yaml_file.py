"""Files in YAML or JSON written by people: plain data only, no key twice."""

from pathlib import Path
from typing import Final

import yaml

from scheduler.replay.trace import ReplayError, open_text

#: What the library lets through: days that are none, numbers without end, odd names, depth.
_UNREADABLE: Final = (ValueError, TypeError, AttributeError, OverflowError, RecursionError)


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that is there twice."""


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[object, object]:
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(
                None, None, "a name must be a text", key.start_mark
            )
        if key.value in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"{key.value!r} is there twice", key.start_mark
            )
        seen.add(key.value)
    return dict(loader.construct_mapping(node, deep=True))


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read_yaml(path: Path) -> object:
    """Return the content of a file; raises ``ReplayError`` naming file and line."""
    try:
        with open_text(path) as file:
            # A subclass of the safe loader: builds plain data only.
            return yaml.load(file, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f":{error.problem_mark.line + 1}"
        raise ReplayError(f"{path}{line}: {error.problem or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0]
        raise ReplayError(f"{path}: neither YAML nor JSON: {first}") from error
    except _UNREADABLE as error:
        raise ReplayError(f"{path}: has a value that cannot be read: {error}") from error
