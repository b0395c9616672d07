"""Class-conditional diffusion: one network that knows p(x | c) for every class, and p(x) as well.

Rows carry their class in a last column, [x_1 ... x_D, c].  In training the class is
withheld from some rows, drawn by chance: their label is -1, "none given".  What is
best in mean square is then, label by label,

    D(x, sigma, c)  = E[x0 | x, c],           D(x, sigma, -1) = E[x0 | x]

because the rows without a class are a fair sample of all rows.  The two are
what classifier-free guidance (guidance.py) is made of, and their difference holds
a classifier that nobody trained, by Bayes' rule:

    grad log p_sigma(c | x) = (D(x, sigma, c) - D(x, sigma, -1)) / sigma^2

Loss and gradient are those of the denoiser (denoiser.py), with the label as one
more input, which has no gradient.

Source: Ho and Salimans 2022, "Classifier-free diffusion guidance", algorithm 1,
where the class is withheld with probability 0.1 or 0.2.
"""
from dataclasses import dataclass

import numpy as np

from scratch import checks
from scratch.implicit.diffusion.denoiser import Diffusion

WITHHELD = 0.2                            # the share of rows that train p(x) instead of p(x | c)


@dataclass(frozen=True)
class ConditionalDiffusion(Diffusion):
    """A Diffusion that trains on rows (N, dim + 1) with classes 0 ... classes - 1 in the last column.

    denoise, sample and all else take x without that column, and label: a class (or
    one for each row), -1 or None for none.

    >>> model = ConditionalDiffusion(dim=2, hidden=(8,), classes=3)
    >>> theta = model.init(np.random.default_rng(0))
    >>> model.sample(theta, 4, np.random.default_rng(0), label=2).shape
    (4, 2)
    """
    def __post_init__(self):
        checks.size(self.classes, "classes")
        super().__post_init__()

    def draw_noise(self, rng, n):
        """The denoiser's eps (n, D) and sigma (n,), and withheld (n,), True where the class is not told."""
        return *super().draw_noise(rng, n), rng.random(n) < WITHHELD

    def loss(self, theta, rows, noise):
        """The denoiser's loss on labeled rows (N, D + 1), and its gradient (P,)."""
        rows = checks.rows(rows, self.dim + 1, "rows")
        *noise, withheld = noise
        classes = rows[:, -1]
        known = np.isin(classes, np.arange(self.classes))
        if not known.all():
            raise ValueError(f"the last column of rows must hold classes 0 ... {self.classes - 1}, "
                             f"got {classes[~known][0]}")
        if np.shape(withheld) != classes.shape:
            raise ValueError(f"noise must hold withheld of shape {classes.shape}, got {np.shape(withheld)}")
        label = np.where(withheld, -1, classes.real.astype(int))                  # (N,)
        return super().loss(theta, rows[:, :-1], noise, label)
