import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")          # small matrices: before NumPy loads

import numpy as np                                          # noqa: E402
import pytest                                               # noqa: E402


@pytest.fixture
def rng():
    """The same stream for every test, whichever tests run before it."""
    return np.random.default_rng(20260)
