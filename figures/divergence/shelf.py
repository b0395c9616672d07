"""The estimators of KL(p || q) that the divergence figures compare, with what each needs."""
from dataclasses import dataclass
from typing import Callable

from scratch.divergence.entropy import kl_cross_entropy
from scratch.divergence.monte_carlo import k3, kl_monte_carlo
from scratch.divergence.nearest_neighbor import kl_adaptive_neighbors, kl_nearest_neighbor
from scratch.divergence.plug_in import kl_binned, kl_kernel_density
from scratch.divergence.variational import kl_classifier, kl_donsker_varadhan, kl_nwj


@dataclass(frozen=True)
class OnTheShelf:
    """estimate(x, y, log_p, log_q, rng) -> Estimate; slow ones train a network at every call."""
    estimate: Callable
    needs: str
    slow: bool = False


BOTH, ONE, NONE = "both densities", "the density of q", "samples alone"

SHELF = {
    "Monte Carlo k1": OnTheShelf(lambda x, y, log_p, log_q, rng: kl_monte_carlo(log_p, log_q, x), BOTH),
    "Monte Carlo k3": OnTheShelf(lambda x, y, log_p, log_q, rng: kl_monte_carlo(log_p, log_q, x, k3), BOTH),
    "cross-entropy": OnTheShelf(lambda x, y, log_p, log_q, rng: kl_cross_entropy(x, log_q), ONE),
    "neighbors k=5": OnTheShelf(lambda x, y, log_p, log_q, rng: kl_nearest_neighbor(x, y), NONE),
    "adaptive k": OnTheShelf(lambda x, y, log_p, log_q, rng: kl_adaptive_neighbors(x, y), NONE),
    "kernels": OnTheShelf(lambda x, y, log_p, log_q, rng: kl_kernel_density(x, y), NONE),
    "cells": OnTheShelf(lambda x, y, log_p, log_q, rng: kl_binned(x, y), NONE),
    "classifier": OnTheShelf(lambda x, y, log_p, log_q, rng: kl_classifier(x, y, rng), NONE, slow=True),
    "Donsker-Varadhan": OnTheShelf(lambda x, y, log_p, log_q, rng: kl_donsker_varadhan(x, y, rng), NONE, slow=True),
    "NWJ": OnTheShelf(lambda x, y, log_p, log_q, rng: kl_nwj(x, y, rng), NONE, slow=True),
}
