"""The density of a GAN's samples, measured on a mesh.  An instrument for figures: skip it at first.

Model.   x = G(z), z ~ N(0, I), in two dimensions.  The density sums over all preimages of x:
    q(x) = sum over z with G(z) = x of  N(z; 0, I) / |det dG/dz|                          (1)

Mesh.    The plane of z is cut into triangles, in each of which G is taken to be linear.  An image
triangle that covers x holds one preimage: the weights of x in its corners give z, and the ratio of
the two areas is |det dG/dz|.  Halving an edge (a, b) shows how far the image bends off the chord:
    s = G(a) + G(b) - 2 G((a + b) / 2)                                                    (2)
    change = 4 max over d of |s x d| / |d1 x d2|,   d, d1, d2 image edges, x cross product (3)

Along the edge dG changes by 4 s, and its determinant by the fraction (3).  Errors of neighboring
triangles have opposite signs, so their effect on an expectation of log q is of order mass change^2.
Edges are cut until this is below the tolerance in each triangle.  change counts as at most 1, for
folds.  Triangles share their edges, so the image has no cracks.

Result.  -inf: x has no preimage, as outside a fold of G.  With data there, KL(p || q) is infinite.
At a fold det dG/dz is 0 and q grows as 1 / sqrt(distance), with a finite mass.  A mass below 1: G
collapses a region to a curve, which has no density, and KL(q || p) is infinite.
Checked in tests/implicit/test_push_forward.py::test_density_of_known_maps
"""
from dataclasses import dataclass

import numpy as np

from scratch import checks

# By hand.  For a trained generator the mean of log q moves by 0.002 nats with half of CELLS, and by
# 0.005 with ten times TOLERANCE; the standard error of 2,000 rows was 0.04.
RADIUS = 8.0                   # the mesh covers |z_i| <= RADIUS: all but 2.5e-15 of the mass
CELLS = 128                    # squares per axis before refinement
TOLERANCE = 1e-5               # of mass change^2; the number of triangles goes as TOLERANCE^(-1/2)
MOST = 2 ** 19                 # more triangles than this are not refined, and the tolerance is not met
ROUNDING = 1e-12               # of the largest |x|: smaller bends are rounding, not the generator
CHUNK = 2 ** 18                # rows given to the generator, or candidates tested, at once

# How to split a triangle 0, 1, 2 whose edges 01, 12, 20 have midpoints 3, 4, 5, if they are cut.
SPLITS = {(1, 0, 0): [(0, 3, 2), (3, 1, 2)], (0, 1, 0): [(0, 1, 4), (0, 4, 2)],
          (0, 0, 1): [(0, 1, 5), (5, 1, 2)], (1, 1, 0): [(3, 1, 4), (0, 3, 4), (0, 4, 2)],
          (0, 1, 1): [(4, 2, 5), (0, 1, 4), (0, 4, 5)], (1, 0, 1): [(5, 0, 3), (3, 1, 2), (3, 2, 5)],
          (1, 1, 1): [(0, 3, 5), (3, 1, 4), (5, 4, 2), (3, 4, 5)]}


@dataclass(frozen=True, eq=False)
class PushForward:
    """A generator R^2 -> R^2, linear on each of many triangles.

    >>> wide = PushForward.of(lambda z: 2 * z)                  # N(0, 4 I)
    >>> bool(np.isclose(wide.log_prob(np.zeros((1, 2)))[0], -np.log(2 * np.pi * 4), atol=1e-3))
    True
    """
    z: np.ndarray                                                                 # (V, 2) corners
    x: np.ndarray                                                                 # (V, 2) their images G(z)
    triangles: np.ndarray                                                         # (T, 3) rows of z and x

    @classmethod
    def of(cls, generator, tolerance=TOLERANCE):
        """The refined mesh of generator(z (n, 2)) -> x (n, 2), which should compute in float64."""
        checks.function(generator, "generator"), checks.positive(tolerance, "tolerance")
        axis = np.linspace(-RADIUS, RADIUS, CELLS + 1)
        z = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
        corner = np.arange(len(z)).reshape(CELLS + 1, CELLS + 1)
        a, b = corner[:-1, :-1].ravel(), corner[1:, :-1].ravel()
        c, d = corner[1:, 1:].ravel(), corner[:-1, 1:].ravel()
        triangles = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
        return cls(*_refine(generator, z, _images(generator, z), triangles, tolerance))

    def log_prob(self, x):
        """log q(x) in nats, (n,); -inf where x has no preimage."""
        x = checks.rows(x, 2).astype(float)
        density = np.zeros(len(x))
        for point, triangle, weights, area in _covering(x, self.x, self.triangles):
            z = np.einsum("mc,mci->mi", weights, self.z[triangle])                # (m, 2)
            det = area / _area(self.z[triangle])
            here = np.exp(-0.5 * (z * z).sum(axis=1)) / (2 * np.pi * np.abs(det))           # (1)
            density += np.bincount(point, here, len(x))
        with np.errstate(divide="ignore"):                                        # log 0 = -inf is the answer
            return np.log(density)

    def generate(self, z):
        """G(z) on the mesh, (n, 2): draws with the density of log_prob, not -inf even at a fold."""
        z = checks.rows(z, 2, "z").astype(float)
        if np.abs(z).max() >= RADIUS:
            raise ValueError(f"z must lie within {RADIUS:g} of 0 on each axis, got {np.abs(z).max():g}")
        x = np.empty_like(z)
        for point, triangle, weights, _ in _covering(z, self.z, self.triangles):
            x[point] = np.einsum("mc,mci->mi", weights, self.x[triangle])
        return x


def _refine(generator, z, x, triangles, tolerance):
    """(z, x, triangles) when no edge bends too much any more, or there are MOST triangles."""
    fresh = triangles                                                             # not yet examined
    while True:
        edges, of_edge = np.unique(_edge_keys(fresh), return_inverse=True)
        a, b = edges >> 32, edges & 0xFFFFFFFF
        z_middle = (z[a] + z[b]) / 2                                              # (E, 2)
        x_middle = _images(generator, z_middle)
        s = x[a] + x[b] - 2 * x_middle                                            # (2)
        s[np.abs(s).max(axis=1) < ROUNDING * np.abs(x).max()] = 0
        d = x[np.roll(fresh, -1, axis=1)] - x[fresh]                              # (T, 3, 2) edges 01, 12, 20
        change = 4 * np.abs(_cross(s[of_edge.reshape(-1, 3)][:, :, None], d[:, None])).max(axis=2)
        area = np.abs(_area(x[fresh]))[:, None]                                   # (3) is change / area
        middle = z[fresh].mean(axis=1)                                            # where N(0, I) is evaluated
        mass = np.abs(_area(z[fresh])) / 2 * np.exp(-0.5 * (middle * middle).sum(axis=1)) / (2 * np.pi)
        bent = mass[:, None] * np.minimum(change, area) ** 2 > tolerance * area ** 2        # (T, 3)
        cut = np.bincount(of_edge.ravel(), bent.ravel()) > 0                      # if bent in either neighbor
        if not cut.any() or len(triangles) > MOST:
            return z, x, triangles
        middles = len(z) + np.arange(cut.sum())
        z, x = np.concatenate([z, z_middle[cut]]), np.concatenate([x, x_middle[cut]])
        triangles, fresh = _split(triangles, edges[cut], middles)


def _split(triangles, cut, middles):
    """All triangles when edges of keys `cut` (ascending) are cut at `middles`, and the new ones."""
    keys = _edge_keys(triangles)                                                  # (T, 3)
    place = np.minimum(np.searchsorted(cut, keys), len(cut) - 1)
    is_cut = cut[place] == keys
    nodes = np.concatenate([triangles, middles[place]], axis=1)                   # (T, 6)
    fresh = np.concatenate([nodes[(is_cut == pattern).all(axis=1)][:, corners]
                            for pattern, parts in SPLITS.items() for corners in parts])
    return np.concatenate([triangles[~is_cut.any(axis=1)], fresh]), fresh


def _edge_keys(triangles):
    """One number for each edge 01, 12, 20, the same from both of its sides, (T, 3)."""
    after = np.roll(triangles, -1, axis=1)
    return np.minimum(triangles, after) << 32 | np.maximum(triangles, after)


def _covering(x, corners, triangles):
    """Yield (point (m,), triangle over it (m, 3), weights of the corners (m, 3), twice the area).

    Both triangles at an edge use its ends in the same order: no point falls between or into both.
    """
    for point, number in _candidates(x, corners, triangles):
        triangle = triangles[number]
        after = np.roll(triangle, -1, axis=1)
        low, high = corners[np.minimum(triangle, after)], corners[np.maximum(triangle, after)]
        side = _cross(high - low, x[point, None] - low)                           # (m, 3): left of the edge
        flip = np.where(triangle < after, 1, -1)
        area = _area(corners[triangle])
        inside = (((side >= 0) == (flip > 0)) == (area > 0)[:, None]).all(axis=1) & (area != 0)
        weights = np.roll(flip * side, -1, axis=1)[inside] / area[inside, None]   # edge 12 faces corner 0
        yield point[inside], triangle[inside], weights, area[inside]


def _candidates(x, corners, triangles):
    """Yield (points, triangles), equally long: every covering pair is among them.

    Points are sorted by column of the plane, then by height: in a column a triangle meets one run.
    """
    origin, span = x.min(axis=0), np.ptp(x, axis=0) + 1e-300                      # never divide by 0
    columns = int(np.ceil(np.sqrt(len(x))))

    def column(x1):
        return np.clip((x1 - origin[0]) / span[0] * columns, -1, columns).astype(int).clip(0, columns - 1)

    def height(x2):
        return np.clip((x2 - origin[1]) / span[1], -0.4, 1.4) / 2                 # points: 0 to 1/2

    key = column(x[:, 0]) + height(x[:, 1])
    order = np.argsort(key)
    key = key[order]
    least, most = corners[triangles].min(axis=1), corners[triangles].max(axis=1)  # (T, 2)
    near = np.flatnonzero(((most >= origin) & (least <= origin + span)).all(axis=1))
    first = column(least[near, 0])
    for owner, offset in _runs(column(most[near, 0]) - first + 1):
        t, here = near[owner], first[owner] + offset
        start = np.searchsorted(key, here + height(least[t, 1]) - 1e-9)
        for pair, offset in _runs(np.searchsorted(key, here + height(most[t, 1]) + 1e-9) - start):
            yield order[start[pair] + offset], t[pair]


def _runs(counts):
    """For counts (2, 0, 3): owners (0, 0, 2, 2, 2), places (0, 1, 0, 1, 2), in parts of CHUNK."""
    ends = np.flatnonzero(np.diff(np.cumsum(counts) // CHUNK)) + 1
    for a, b in zip([0, *ends], [*ends, len(counts)]):
        before, owner = np.cumsum(counts[a:b]) - counts[a:b], np.repeat(np.arange(a, b), counts[a:b])
        yield owner, np.arange(len(owner)) - np.repeat(before, counts[a:b])


def _images(generator, z):
    """generator(z), checked, as float64."""
    x = np.concatenate([checks.array(generator(z[i:i + CHUNK]), "generator(z)", 1)
                        for i in range(0, len(z), CHUNK)])
    if x.shape != z.shape or x.dtype.kind != "f":
        raise ValueError(f"generator must take z {z.shape} to floats x of the same shape, "
                         f"got dtype {x.dtype} of shape {x.shape}")
    return checks.finite(x.astype(float), "generator(z)")


def _cross(u, v):
    return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]


def _area(corners):
    """Twice the signed area of triangles (m, 3, 2)."""
    return _cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
