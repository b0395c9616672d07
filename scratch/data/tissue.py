"""Tissue patches with and without a lesion: two classes with exact densities, so that Bayes' rule is exact.

Class 0, healthy.  Let q = sum_k w_k N(m_k, S_k) be any mixture of K Gaussians for patches x of 8 x 8
pixels; the figures fit one to an MRI slice.  A patch is as likely as its turns and reflections T_g x,
g = 1 ... 8, each of which permutes pixels, and the scanner adds noise of variance s^2:

    p_0(x) = 1/8 sum_g sum_k w_k N(x; T_g m_k, T_g S_k T_g^T + s^2 I)                        (1)

Class 1, lesion.  A bright blob b_c is added at one of four central places c, with a random contrast:

    x = x_0 + a b_c,    x_0 ~ p_0,    a ~ N(A, t^2),    c uniform                            (2)
    b_c(r) = exp(-|r - c|^2 / (2 w^2)) at pixel r                                            (3)

a b_c is Gaussian for each c, and a sum of two independent Gaussian vectors is Gaussian.  So this is a
mixture of 32 K Gaussians:

    p_1(x) = 1/4 sum_c of the terms of (1), with A b_c added to the mean
             and t^2 b_c b_c^T to the covariance                                             (4)

The eight T_g map the four places onto each other, so p_1 has the symmetry of p_0.  If both classes are
equally likely, p(1 | x) = p_1(x) / (p_0(x) + p_1(x)) by Bayes' rule.  Units are those of
scratch/data/real.py: 1 is 50 gray levels.  Source: none; the simulation is our own.
Checked in tests/data/test_tissue.py::test_densities_are_the_naive_loop
Checked in tests/data/test_tissue.py::test_a_lesion_added_to_healthy_rows_has_the_density_of_class_1
Symbols: N patches, D = 64 pixels, row by row.
"""
import numpy as np

from scratch import checks
from scratch.data.gaussian_mixture import GaussianMixture

SIDE = 8                       # of a patch, in pixels
PLACES = (3, 4)                # rows and columns of the four c: the pixels in the middle, counted from 0
# Width, contrast and noise by hand, so that Bayes' rule is not always right: its log loss is 0.16 nats, and
# log 2 = 0.69 without x.  With nine places and w = 1 the task could not be learned from 1,000 rows.
WIDTH = 1.2                    # w, in pixels
CONTRAST, SPREAD = 1.2, 0.4    # A and t
NOISE = 0.15                   # s.  Without it S_k has eigenvalues down to 1e-4, because the scanner interpolates


def turns(x):
    """T_g x of patches x (N, 64) for the eight g, (8, N, 64); the first is x itself.

    >>> turns(np.arange(64.0)[None])[:, 0, 0]               # which pixel of x each T_g x has first
    array([ 0.,  7., 63., 56.,  7.,  0., 56., 63.])
    """
    squares = checks.rows(x, SIDE ** 2).reshape(-1, SIDE, SIDE)
    turned = [np.rot90(part, k, axes=(1, 2)) for part in (squares, squares[:, :, ::-1]) for k in range(4)]
    return np.stack(turned).reshape(8, -1, SIDE ** 2)


def blobs():
    """b_c for the four places c, (4, 64)."""
    row, column = np.indices((SIDE, SIDE))
    return np.stack([np.exp(-((row - i) ** 2 + (column - j) ** 2) / (2 * WIDTH ** 2)).reshape(-1)     # (3)
                     for i in PLACES for j in PLACES])


def add_lesion(x, rng):
    """Patches x (N, 64) with a lesion each."""
    x, rng = checks.rows(x, SIDE ** 2), checks.generator(rng)
    contrast = CONTRAST + SPREAD * rng.standard_normal((len(x), 1))
    return x + contrast * blobs()[rng.integers(4, size=len(x))]                              # (2)


def tissue_laws(mixture):
    """p_0 and p_1, two GaussianMixtures, for a mixture q of patches."""
    if not isinstance(mixture, GaussianMixture) or mixture.dim != SIDE ** 2:
        raise TypeError(f"mixture must be a GaussianMixture of {SIDE ** 2} pixels, got {checks.brief(mixture)}")
    order = turns(np.arange(SIDE ** 2, dtype=float)[None])[:, 0].astype(int)                 # T_g x = x[order[g]]
    means = mixture.means[:, order].swapaxes(0, 1)                                           # (8, K, D)
    covariances = np.stack([mixture.covariances[:, g][:, :, g] for g in order])              # (8, K, D, D)
    healthy = _uniform_mixture(means, covariances, mixture.weights).noised(NOISE)            # (1)
    b = blobs()[:, None]                                                                     # (4, 1, D)
    return healthy, _uniform_mixture(healthy.means + CONTRAST * b,
                                     healthy.covariances + SPREAD ** 2 * (b[..., None] * b[:, :, None]),
                                     healthy.weights)                                        # (4)


def _uniform_mixture(means, covariances, weights):
    """The mean over the first axis of mixtures with means (G, K, D) and covariances (G, K, D, D)."""
    G, K, D = means.shape
    return GaussianMixture(means.reshape(G * K, D), covariances.reshape(G * K, D, D), np.tile(weights / G, G))
