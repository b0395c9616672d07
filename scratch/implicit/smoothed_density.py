"""The density of a generator that adds Gaussian noise to its output, by quadrature.

Model.   x = G(z) + s eps, where z has the density p(z) of a mixture of Gaussians (latent.py):
    q(x) = integral of p(z) N(x; G(z), s^2 I) dz                                          (1)

Quadrature.   A box of z is cut into cells j with centers z_j and volumes v_j:
    q(x) ~= sum_j w_j N(x; G(z_j), s^2 I),   w_j = p(z_j) v_j, divided by their sum       (2)
(2) is a mixture of Gaussians, positive everywhere and of mass 1.

How small must cells be?  A sum of Gaussians of standard deviation s, whose centers lie d apart on a
line, is constant up to the fraction 2 exp(-2 pi^2 s^2 / d^2): 5e-9 at d = s, 3e-4 at d = 1.5 s
(Poisson's summation formula).  So a cell is cut in two across the axis along which its image is
longest, until the images of the middles of its faces lie within 3/4 s of that of its center.  Cells
are then narrow where G is steep, as between two modes, and wide elsewhere.  A cell of small mass is
left as it is.  A steep step of G inside a cell is found if it lies between the center and the middle
of a face.  A step that crosses only a corner of the cell is not.
Source: none; the midpoint rule on cells that are refined where G is steep.
Checked in tests/implicit/test_smoothed_density.py::test_density_of_a_linear_generator
Checked in tests/implicit/test_smoothed_density.py::test_halving_every_distance_changes_little
Symbols: N rows, D data, L latent, K components, M cells.
"""
import numpy as np

from scratch.grid import midpoints
from scratch.kernels.likelihoods import HALF_LOG_TWO_PI
from scratch.kernels.stable import logsumexp

RADIUS = 6.5                   # stds of each component in the box; derived: per axis 8e-11 of its mass lie outside
# By hand.  For trained generators (30,000 cells) the mean of log q changes by at most 4e-4 nats with
# NEAR from 0.5 to 1, and by 1e-4 with SMALL of 1e-7; log q of single points changes by up to 0.2.
PER_STD = 3.0                  # cells of the first grid in the smallest std: the p(z_j) v_j add up to 1 +- 1e-3
NEAR = 0.75                    # distance of images, in s
SMALL = 1e-5                   # mass of a cell that is not cut
MOST = 2 ** 20                 # cells of the first grid, which bounds the memory
PAIRS = 2 ** 19                # pairs of a row and a cell at once: their exponents stay in the cache


def log_prob(generator, mu, std, s, x):
    """log q(x) in nats, (N,), for generator(z (M, L)) -> (M, D), mu and std (K, L), and s > 0."""
    images, weights = cells(generator, mu, std, s)
    center, log_q = images.mean(axis=0), []                                       # smaller squares, more digits
    x, images = (x - center) / s, (images - center) / s
    log_w = np.log(weights) - 0.5 * (images * images).sum(axis=1)
    for part in np.array_split(x, -(-len(x) * len(images) // PAIRS)):
        log_q.append(logsumexp(part @ images.T + log_w)[0] - 0.5 * (part * part).sum(axis=1))   # (2)
    return np.concatenate(log_q) - x.shape[1] * (np.log(s) + HALF_LOG_TWO_PI)


def cells(generator, mu, std, s):
    """The images G(z_j) (M, D) and the weights w_j (M,) of (2)."""
    box = np.stack([(mu - RADIUS * std).min(axis=0), (mu + RADIUS * std).max(axis=0)], axis=1)  # (L, 2)
    n, L = int(np.ceil(PER_STD * (np.ptp(box, axis=1) / std.min(axis=0)).max())), len(box)
    if n ** L > MOST:
        raise ValueError(f"a component of z has a std of {std.min():.2g}, too narrow for a grid of {MOST} cells")
    z, found = midpoints(box, n)[0], []                                           # (M, L)
    side = np.broadcast_to(np.ptp(box, axis=1) / n, z.shape)
    while len(z):
        x, w = generator(z), _density(z, mu, std) * side.prod(axis=1)             # (M, D), (M,)
        cut, axis = _longest(generator, z, side, x, np.flatnonzero(w > SMALL), NEAR * s)
        kept = w > 0
        kept[cut] = False
        found.append((x[kept], w[kept]))
        along = np.eye(L)[axis] * side[cut]                                       # (m, L)
        z = np.concatenate([z[cut] - along / 4, z[cut] + along / 4])
        side = np.tile(side[cut] - along / 2, (2, 1))
    x, w = (np.concatenate(part) for part in zip(*found))
    return x, w / w.sum()                                                         # (2)


def _longest(generator, z, side, x, large, near):
    """The cells of `large` with a face whose image is farther than `near` from the center's, and that axis."""
    if len(large) == 0:
        return large, large
    steps = np.eye(z.shape[1])[:, None] * side[large] / 2                         # (L, m, L)
    faces = np.concatenate([z[large] - steps, z[large] + steps]).reshape(-1, z.shape[1])
    images = generator(faces).reshape(2, len(steps), len(large), -1)
    far = np.square(images - x[large]).sum(axis=3).max(axis=0)                    # (L, m)
    cut = far.max(axis=0) > near ** 2
    return large[cut], far.argmax(axis=0)[cut]


def _density(z, mu, std):
    """p(z), (M,)."""
    p = np.zeros(len(z))
    for center, width in zip(mu, std):
        p += np.exp(-0.5 * np.square((z - center) / width).sum(axis=1)) / width.prod()
    return p / (len(mu) * (2 * np.pi) ** (z.shape[1] / 2))
