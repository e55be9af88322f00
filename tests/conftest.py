"""Property tests draw the same examples at every run, and leave no files."""

import pytest
from hypothesis import settings

from snncore import manual_seed

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None, max_examples=25)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def fresh_weights():
    """Layers made without `rng` draw the same weights whichever tests ran before."""
    manual_seed(0)
