"""Class-conditional diffusion: one network for p(x | c), for every class c, and for p(x).

Model.   The denoiser of denoiser.py, whose network has a label c as one more input.  In training
the class of some rows, chosen at random, is withheld: their label is -1, "none".  They are a fair
sample of all rows, so the minimizers of the mean square are
    xhat(x, sigma, c) = E[x0 | x, c],           xhat(x, sigma, -1) = E[x0 | x]                 (1)

By Bayes' rule they give a classifier's gradient, which classifier-free guidance uses (guidance.py):
    grad log p_sigma(c | x) = (xhat(x, sigma, c) - xhat(x, sigma, -1)) / sigma^2               (2)

Loss and gradient are those of denoiser.py.  The label is an integer and has no gradient.
Source: Ho and Salimans 2022, "Classifier-Free Diffusion Guidance", algorithm 1.
Checked in tests/implicit/diffusion/test_conditioning.py::test_gradient_in_every_parameter
Checked in tests/implicit/diffusion/test_conditioning.py::test_learns_each_class_and_all_together
Symbols: N batch, D data, C classes.  noise is (eps (N, D), sigma (N,), withheld (N,)).
"""
from dataclasses import KW_ONLY, dataclass, field

import numpy as np

from scratch import checks
from scratch.implicit.diffusion.denoiser import Diffusion

WITHHELD = 0.2                       # of the rows: Ho and Salimans find 0.1 and 0.2 better than 0.5


@dataclass(frozen=True)
class ConditionalDiffusion(Diffusion):
    """A Diffusion that trains on rows [x_1 ... x_D, c], (N, D + 1), with classes c in 0 ... C - 1.

    label: a class, or one for each row; -1 or None for p(x), to which floor and excess belong too.

    >>> model, x = ConditionalDiffusion(2, classes=3), np.ones((4, 2))
    >>> theta = model.init(np.random.default_rng(0))
    >>> bool((model.denoise(theta, x, 0.5, label=-1) == model.denoise(theta, x, 0.5)).all())
    True
    """
    _: KW_ONLY
    classes: int = 2
    context_dim: int = field(default=0, init=False)         # C

    def __post_init__(self):
        object.__setattr__(self, "context_dim", checks.size(self.classes, "classes"))
        super().__post_init__()

    def one_hot(self, label, n):
        """The context (n, C) of this label."""
        label = np.asarray(-1 if label is None else label)
        if label.dtype.kind not in "iu" or label.min() < -1 or label.max() >= self.classes:
            raise ValueError(f"label must hold integers from -1 to {self.classes - 1}, got {label}")
        return (np.broadcast_to(label, n)[:, None] == np.arange(self.classes)).astype(np.float32)

    def draw_noise(self, rng, n):
        """Diffusion's eps (n, D) and sigma (n,), and withheld (n,), True where c is not given."""
        return *super().draw_noise(rng, n), rng.random(n) < WITHHELD

    def loss(self, theta, rows, noise):
        """The denoiser's loss on labeled rows (N, D + 1), and its gradient (P,)."""
        rows = checks.rows(rows, self.dim + 1, "rows")
        x, classes = rows[:, :-1], checks.class_rows(rows[:, -1:].real, 1, self.classes)[:, 0]
        *noise, withheld = checks.noise(noise, x, eps=x.shape, sigma=(len(x),), withheld=(len(x),))
        label = np.where(withheld, -1, classes)                                   # (N,)
        loss, gradient = self.denoising_loss(theta, x, noise, self.one_hot(label, len(x)))      # (1)
        return loss, gradient(need_dcontext=False)[0]                             # d(1)

    def denoise(self, theta, x, sigma, label=None):
        """E[x0 | x, label] as learned, (N, D)."""
        x = checks.rows(x, self.dim)
        return super().denoise(theta, x, sigma, self.one_hot(label, len(x)))      # (1)

    def denoise_jvp(self, theta, x, x_dot, sigma, label=None):
        """xhat and its Jacobian-vector product dxhat/dx x_dot, (N, D) each."""
        x = checks.rows(x, self.dim)
        return super().denoise_jvp(theta, x, x_dot, sigma, self.one_hot(label, len(x)))         # (1)

    def sample(self, theta, n, rng, *, label=None, steps=32):
        """n rows (n, D) of p(x | label)."""
        return super().sample(theta, n, rng, context=self.one_hot(label, checks.size(n, "n")), steps=steps)

    def complete(self, theta, known, n, rng, *, label=None, steps=80, turns=16):
        """n rows (n, D) of p(x | label, known), as in denoiser.py."""
        context = self.one_hot(label, checks.size(n, "n"))
        return super().complete(theta, known, n, rng, context=context, steps=steps, turns=turns)

    def log_prob(self, theta, x, *, label=None, steps=32):
        """log p(x | label) in nats, (N,)."""
        x = checks.rows(x, self.dim)
        return super().log_prob(theta, x, context=self.one_hot(label, len(x)), steps=steps)
