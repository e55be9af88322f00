"""Print what pyproject.toml asks for, a line each, for `pip install --requirement`: the lowest releases, or all.

    python .ci/lowest.py test > lowest.txt      the dependencies, and what the extra `test` adds, as name==release
    python .ci/lowest.py --any test             the same as name>=release, of which pip takes the newest

Only `name>=release` and `name==release` have a lowest release; anything else among the dependencies ends this with
status 1, so that no bound goes untested.
"""

import re
import sys
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
OWN = re.compile(r"(?P<name>[\w-]+)\[(?P<extras>[\w, -]+)\]")  # an extra that takes in others of this project
BOUND = re.compile(r"(?P<name>[\w.-]+)(\[[\w, -]+\])?(?P<sign>>=|==)(?P<release>[\w.]+)\s*(;\s*(?P<marker>.+))?")


def lowest(project: dict, extras: list[str], sign: str = "==") -> list[str]:
    """Return `name==release` for the dependencies and extras of a `[project]` table, with markers as they are.

    sign: ">=" for what the table says itself.
    Raises ValueError for an extra that is not there and for a dependency without a lower bound.
    """
    lines: dict[str, None] = {}
    groups, seen = ["", *extras], set[str]()
    offered = {"": project["dependencies"], **project["optional-dependencies"]}
    while groups:
        group = groups.pop(0)
        if group in seen:
            continue
        seen.add(group)
        if group not in offered:
            raise ValueError(f"no extra {group!r}; expected one of {', '.join(sorted(offered)[1:])}")
        for requirement in offered[group]:
            if (own := OWN.fullmatch(requirement)) and own["name"] == project["name"]:
                groups += [name.strip() for name in own["extras"].split(",")]
                continue
            bound = BOUND.fullmatch(requirement)
            if bound is None:
                raise ValueError(f"{requirement!r}: expected name>=release or name==release")
            marker = f"; {bound['marker']}" if bound["marker"] else ""
            exactly = "==" if bound["sign"] == "==" else sign
            lines[f"{bound['name']}{exactly}{bound['release']}{marker}"] = None
    return list(lines)


if __name__ == "__main__":
    given = sys.argv[1:]
    try:
        table = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
        wanted = lowest(table, [x for x in given if x != "--any"], ">=" if "--any" in given else "==")
    except ValueError as error:
        raise SystemExit(f"error: {PYPROJECT.name}: {error}") from None
    print(*wanted, sep="\n")
