import numpy as np
import pytest


@pytest.fixture
def rng():
    """The same stream for every test, whichever tests run before it."""
    return np.random.default_rng(20260)
