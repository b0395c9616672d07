"""The sentences of the chapter that can be true or false, each with a test, an effect and a verdict."""
import textwrap
from typing import Callable, NamedTuple

import numpy as np

from figures import runner
from figures.style import ACCENT, COLORS, DARK_ORANGE, figure

SECTION = "1.5"
FINDING = "The chapter, tested: what holds, what holds in part, what does not"
SETTINGS = "Each verdict is computed from the stored result of the figure that is named. +- is 1 s.e. over the seeds."

VERDICTS = ("supported", "partly", "not supported")


class Sentence(NamedTuple):
    """One claim of the chapter.  judge(results of the figure) -> (the effect in words, the number of its verdict)."""
    chinese: str
    english: str
    hypothesis: str
    figure: str
    judge: Callable


def verdict(*holds):
    """0 if all of the parts of a hypothesis hold, 2 if none, 1 else."""
    return 0 if all(holds) else 1 if any(holds) else 2
