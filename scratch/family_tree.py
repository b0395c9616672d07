"""The chapter's family tree (figure 1.2), filled with the classes of this package.

    MODELS["AutoregressiveMixture"]()      a small instance, for tests, certificates and drawings

This is the only file that knows all models.  Whatever must hold for every
model (the ladder of tests, the gradient certificate, the tree figure) runs
over MODELS, so that no model can join the family without it.
"""
from dataclasses import dataclass
from typing import Callable

from scratch.explicit.autoregressive import MADE, AutoregressiveMixture
from scratch.explicit.gaussian_mixture import MixtureEM

# The branches of the chapter, each with its Chinese title and the branch that it grows from.
BRANCHES = {
    "models": ("模型", None),
    "generative models": ("生成模型", "models"),
    "discriminative models": ("判别模型", "models"),
    "explicit density": ("显式密度模型", "generative models"),
    "implicit density": ("隐式密度模型", "generative models"),
    "autoregressive models": ("自回归模型", "explicit density"),
    "variational autoencoders": ("变分自编码器", "explicit density"),
    "generative adversarial networks": ("GANs", "implicit density"),
    "diffusion models": ("扩散模型", "implicit density"),
}


def continuous_rows(model, rng, n):
    """n rows of D reals."""
    return rng.standard_normal((n, model.dim))


def discrete_rows(model, rng, n):
    """n rows of D classes, integers."""
    return rng.integers(model.classes, size=(n, model.dim))


@dataclass(frozen=True)
class Entry:
    """A model class, its branch, sizes small enough to check every parameter, and data that it accepts."""
    model: type
    branch: str
    sizes: dict
    rows: Callable = continuous_rows

    def __call__(self):
        return self.model(**self.sizes)


MODELS = {entry.model.__name__: entry for entry in [
    Entry(MixtureEM, "explicit density", dict(components=3)),
    Entry(AutoregressiveMixture, "autoregressive models", dict(dim=3, components=2, hidden=(5, 4))),
    Entry(MADE, "autoregressive models", dict(dim=4, hidden=(6, 5), classes=3), discrete_rows),
]}
