"""Which packages are installed; all else is in pyproject.toml.

`datasets` as a top-level package is another project's name and `tools` anybody's: both folders go into `misnet`. The
packages are looked for and not listed, so that none can be forgotten.
"""

from setuptools import find_packages, setup

ROOMS = ("datasets", "tools")  # folders at the root that are installed as misnet.<name>

setup(
    packages=find_packages(include=["snncore", "snncore.*", "misnet", "misnet.*"])
    + [f"misnet.{name}" for room in ROOMS for name in (room, *(f"{room}.{p}" for p in find_packages(room)))],
    package_dir={f"misnet.{room}": room for room in ROOMS},
)
