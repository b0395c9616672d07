"""Objectives of adversarial games, and penalties on the discriminator's gradient.

Loss.   An objective takes the logits C(x) at data and C(G) at samples and returns the losses of
both players.  With softplus(a) = log(1 + e^a), in expectation over data and samples:
                     discriminator's L_D                    generator's L_G
    minimax          softplus(-C(x)) + softplus(C(G))       -softplus(C(G))               (1)
    non_saturating   softplus(-C(x)) + softplus(C(G))       softplus(-C(G))               (2)
    wasserstein      C(G) - C(x)                            -C(G)                         (3)
    relativistic     softplus(C(G) - C(x))                  softplus(C(x) - C(G))         (4)

Where C(G) is very negative, L_G has no gradient in (1) but has one in (2).  In (3) C is the
Wasserstein critic, whose gradient must have a length of at most 1.  (4) compares pairs of a datum
and a sample, so that data of a mode without samples still act on the generator.

Penalty.   L_D grows by gamma times the expectation of a function of v = dC/dx:
    zero_centered    1/2 |v|^2       at data and at samples, R1 and R2                    (5)
    one_centered     (|v| - 1)^2     at random mixtures of the two, WGAN-GP               (6)

Gradient.   softplus' = sigmoid.   d(5) = v,   d(6) = 2 (|v| - 1) v / |v|.
Checked in tests/implicit/test_gan.py::test_the_losses_are_those_of_the_papers
Checked in tests/implicit/test_gan.py::test_an_objectives_gradients_are_those_of_its_losses
Checked in tests/implicit/test_gan.py::test_a_penalty_goes_with_its_gradient
"""
from dataclasses import dataclass, replace
from typing import Callable, NamedTuple

import numpy as np

from scratch import checks
from scratch.kernels.stable import softplus


class Objective(NamedTuple):
    """The losses of both players (nats, but not for wasserstein) and their gradients, (N,) each."""
    generator_loss: float       # L_G
    discriminator_loss: float   # L_D
    dreal: np.ndarray           # dL_D / dC(x)
    dfake: np.ndarray           # dL_D / dC(G)
    dgenerator: np.ndarray      # dL_G / dC(G)
    __eq__, __ne__, __hash__ = object.__eq__, object.__ne__, object.__hash__      # it holds arrays


def minimax(real, fake):
    """The first game, L_G = -L_D (Goodfellow et al. 2014, "Generative Adversarial Nets", eq. 1)."""
    loss, dfake = _mean_softplus(fake)
    return non_saturating(real, fake)._replace(generator_loss=-loss, dgenerator=-dfake)         # (1), d(1)


def non_saturating(real, fake):                                                   # first reading 2
    """The generator raises log sigmoid(C(G)) instead (Goodfellow et al. 2014, section 3)."""
    (at_real, dreal), (at_fake, dfake) = _mean_softplus(-real), _mean_softplus(fake)
    of_generator, dgenerator = _mean_softplus(-fake)
    return Objective(of_generator, at_real + at_fake, -dreal, dfake, -dgenerator)               # (2), d(2)


def wasserstein(real, fake):
    """A difference of expectations (Arjovsky et al. 2017, "Wasserstein GAN", eq. 2)."""
    dreal, dfake = np.full_like(real, -1 / len(real)), np.full_like(fake, 1 / len(fake))
    return Objective(-np.mean(fake), np.mean(fake) - np.mean(real), dreal, dfake, -dfake)       # (3), d(3)


def relativistic(real, fake):
    """Each sample against the datum in its row (Huang et al. 2024, "The GAN is dead", eq. 2;
    Jolicoeur-Martineau 2019, "The relativistic discriminator")."""
    of_discriminator, dfake = _mean_softplus(fake - real)
    of_generator, dreal = _mean_softplus(real - fake)
    return Objective(of_generator, of_discriminator, -dfake, dfake, -dreal)                     # (4), d(4)


def _mean_softplus(logits):
    """The mean of log(1 + e^logits), and its gradient (N,)."""
    values, pull = softplus(logits)
    return np.mean(values), pull(np.full_like(logits, 1 / len(logits)))


@dataclass(frozen=True)
class Penalty:
    """A function v (M, D) -> (values (M,), dv (M, D)), and the points at which v is taken."""
    function: Callable
    at: str                     # "data and samples" or "mixtures"
    last: float = 1.0           # the fraction of gamma that is left at the end of a run

    def __post_init__(self):
        checks.fields(self, function=checks.function, last=checks.positive)
        if not isinstance(self.at, str) or self.at not in ("data and samples", "mixtures"):
            raise ValueError(f"at must be 'data and samples' or 'mixtures', got {checks.brief(self.at)}")


def _half_square(v):
    return 0.5 * np.sum(v * v, axis=1), v                                         # (5), d(5)


def _square_from_one(v):
    length = np.sqrt(np.sum(v * v, axis=1, keepdims=True))                        # (M, 1)
    values = ((length - 1) ** 2)[:, 0]                                            # (6)
    return values, 2 * (length - 1) * v / np.where(length == 0, 1, length)        # d(6), and 0 at v = 0


# Roth et al. 2017, "Stabilizing Training of Generative Adversarial Networks"; R1 by itself:
# Mescheder et al. 2018, "Which Training Methods for GANs do actually Converge?".  Huang et al. too
# lower gamma early in a run; 1e-3 is chosen by hand for narrow modes far apart, not swept.
zero_centered = Penalty(_half_square, at="data and samples", last=1e-2)
# Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", eq. 3; theirs is also gamma = 10.
one_centered = Penalty(_square_from_one, at="mixtures")
# Defaults; other objectives have gamma 0.  0.2 is chosen by hand for data of scale 1, not swept.
OWN_PENALTY = {relativistic: (zero_centered, 0.2), wasserstein: (one_centered, 10.0)}


def lower_gamma(model, done):
    """The model at this fraction of a run: gamma falls geometrically to penalty.last of itself."""
    return replace(model, gamma=model.gamma * model.penalty.last ** done)
