"""The likelihood of a GAN: the density of x = G(z), z ~ N(0, I), for a generator from the plane to the plane.

    q(x) = sum over all z with G(z) = x of N(z; 0, I) / |det dG/dz|

A GAN is trained and sampled without this number, and no layer of it is
invertible.  But with two latent numbers every preimage can be found: the plane
of z is cut into triangles, the generator carries their corners over, and inside
a triangle it is taken to be linear.  Each image triangle that covers x holds
one preimage: its weights of the three corners give z, and the ratio of the two
areas is |det dG/dz|.

Mesh.  A generator is steep where it crosses from one mode to the next and
nearly flat within one, so the mesh refines itself.  Halving an edge shows how
far the image bends away from the chord, s = G(a) + G(b) - 2 G((a + b) / 2).
Along that edge dG changes by 4 s, and the determinant by the share

    change = 4 |s x d| / |d1 x d2|           d, d1, d2: edges of the image triangle, x: the cross product

The signs of such errors alternate, and what they do to a mean of log q goes with
mass change^2, which is what is kept below the tolerance in every triangle (change
counts as at most 1: at a fold, triangles shrink until their mass is so small).  Edges
are cut, not triangles, so neighbors always agree: the image of the plane has no
cracks.  (The share does not change under linear maps, so triangles become thin
where, and only where, the generator is steep.)

What the answers mean, for the KL to a law p:
    -inf     x has no preimage within RADIUS.  If the law has mass there, KL(p || q) is infinite, and
             truly so: G folds the plane over, and outside the fold there is nothing.  (In the other
             direction, KL(q || p), draw x from `generate`.)
    large    at a fold det dG/dz passes through 0 and q grows as 1 / sqrt(distance), a mass that is finite.
             Averages over it converge, but their error bars come down slowly.
    missing  where G collapses, det dG/dz = 0 on a whole region, its mass lies on a curve or a point, without
             a density: q has less mass than 1 and KL(q || p) is infinite.  Nearly collapsed, both are huge.
"""
from dataclasses import dataclass

import numpy as np

from scratch import checks

RADIUS = 8.0                   # the mesh covers |z_i| <= RADIUS: all but 2e-15 of the mass
CELLS = 128                    # squares per axis before refinement
TOLERANCE = 1e-5               # of a triangle: its mass times the squared change of det dG/dz within it
MOST = 2 ** 19                 # more triangles than this are not refined
ROUNDING = 1e-12               # of the largest |x|: smaller bends are rounding, not the generator
CHUNK = 2 ** 18                # rows given to the generator, or candidates tested, at once

# How to split a triangle with corners 0, 1, 2 whose edges 01, 12, 20 have midpoints 3, 4, 5, if they are cut.
SPLITS = {(1, 0, 0): [(0, 3, 2), (3, 1, 2)],
          (0, 1, 0): [(0, 1, 4), (0, 4, 2)],
          (0, 0, 1): [(0, 1, 5), (5, 1, 2)],
          (1, 1, 0): [(3, 1, 4), (0, 3, 4), (0, 4, 2)],
          (0, 1, 1): [(4, 2, 5), (0, 1, 4), (0, 4, 5)],
          (1, 0, 1): [(5, 0, 3), (3, 1, 2), (3, 2, 5)],
          (1, 1, 1): [(0, 3, 5), (3, 1, 4), (5, 4, 2), (3, 4, 5)]}


def push_forward_log_prob(generator, x):
    """log q(x) in nats, (n,), for the rows x (n, 2): one mesh, used once (see PushForward to keep it)."""
    return PushForward.of(generator).log_prob(x)


@dataclass(frozen=True, eq=False)
class PushForward:
    """A generator R^2 -> R^2, linear on each of many triangles: everything about it can be counted.

    >>> wide = PushForward.of(lambda z: 2 * z)                  # N(0, 4 I)
    >>> bool(np.isclose(wide.log_prob(np.zeros((1, 2)))[0], -np.log(2 * np.pi * 4), atol=1e-3))
    True
    """
    z: np.ndarray                                                                 # (V, 2) corners
    x: np.ndarray                                                                 # (V, 2) their images G(z)
    triangles: np.ndarray                                                         # (T, 3) numbers of corners
    refined: bool = True       # to the tolerance; False if MOST triangles did not reach it

    @classmethod
    def of(cls, generator, tolerance=TOLERANCE):
        """The refined mesh of generator(z (n, 2)) -> x (n, 2), which should compute in float64.

        The number of triangles, and so the time, goes as tolerance^(-1/2).
        """
        checks.positive(tolerance, "tolerance")
        axis = np.linspace(-RADIUS, RADIUS, CELLS + 1)
        z = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
        corner = np.arange(len(z)).reshape(CELLS + 1, CELLS + 1)
        a, b = corner[:-1, :-1].ravel(), corner[1:, :-1].ravel()
        c, d = corner[1:, 1:].ravel(), corner[:-1, 1:].ravel()
        triangles = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
        return cls(*_refine(generator, z, _images(generator, z), triangles, tolerance))

    def log_prob(self, x):
        """log q(x) in nats, (n,); -inf where x has no preimage."""
        density, _ = self._gather(x)
        with np.errstate(divide="ignore"):                                        # log 0 = -inf is the answer
            return np.log(density)

    def generate(self, z):
        """G(z) as the mesh has it, (n, 2): to average over q, draw from this and not from the generator itself.

        These draws have exactly the density of log_prob.  The generator's own differ by the error of
        the mesh, and at a fold that is enough to put some of them where log_prob is -inf.
        """
        z = checks.rows(z, 2, "z").astype(float)
        if np.abs(z).max() >= RADIUS:
            raise ValueError(f"z must lie within {RADIUS:g} of the origin on each axis, got {np.abs(z).max():g}")
        x = np.empty_like(z)
        for point, triangle in _candidates(z, self.z, self.triangles):
            inside, weights, _ = _inside(z[point], self.z, self.triangles[triangle])
            corners = self.x[self.triangles[triangle[inside]]]                    # (m, 3, 2)
            x[point[inside]] = np.einsum("mc,mci->mi", weights[inside], corners)
        return x

    def preimages(self, x):
        """How many z the generator takes to each x, (n,): 1 where it is invertible, 0 where it never goes."""
        return self._gather(x)[1]

    def _gather(self, x):
        """The density at x, and how many triangles cover it, (n,) each."""
        x = checks.rows(x, 2).astype(float)
        density, covers = np.zeros(len(x)), np.zeros(len(x), int)
        for point, triangle in _candidates(x, self.x, self.triangles):
            inside, weights, area = _inside(x[point], self.x, self.triangles[triangle])
            point, triangle, weights = point[inside], triangle[inside], weights[inside]
            corners = self.z[self.triangles[triangle]]                            # (m, 3, 2)
            z = np.einsum("mc,mci->mi", weights, corners)
            det = area[inside] / _area(corners)
            here = np.exp(-0.5 * (z * z).sum(axis=1)) / (2 * np.pi * np.abs(det))
            density += np.bincount(point, here, len(x))
            covers += np.bincount(point, minlength=len(x))
        return density, covers


def _refine(generator, z, x, triangles, tolerance):
    """The mesh with every edge cut that bends too much, until none is left, and whether that came about."""
    fresh = triangles                                                             # not looked at yet
    while True:
        edges, of_edge = np.unique(_edge_keys(fresh), return_inverse=True)
        a, b = edges >> 32, edges & 0xFFFFFFFF
        z_middle = (z[a] + z[b]) / 2                                              # (E, 2)
        x_middle = _images(generator, z_middle)
        s = x[a] + x[b] - 2 * x_middle
        s[np.abs(s).max(axis=1) < ROUNDING * np.abs(x).max()] = 0
        d = x[np.roll(fresh, -1, axis=1)] - x[fresh]                              # (T, 3, 2) edges 01, 12, 20
        change = 4 * np.abs(_cross(s[of_edge.reshape(-1, 3)][:, :, None], d[:, None])).max(axis=2)
        area, mass = np.abs(_area(x[fresh]))[:, None], _masses(z[fresh])[:, None]
        bent = mass * np.minimum(change, area) ** 2 > tolerance * area ** 2       # (T, 3)
        cut = np.bincount(of_edge.ravel(), bent.ravel()) > 0                      # if either neighbor says so
        if not cut.any() or len(triangles) > MOST:
            return z, x, triangles, not cut.any()
        middles = len(z) + np.arange(cut.sum())
        z, x = np.concatenate([z, z_middle[cut]]), np.concatenate([x, x_middle[cut]])
        triangles, fresh = _split(triangles, edges[cut], middles)


def _split(triangles, cut, middles):
    """All triangles when the edges with keys `cut` (ascending) have corners `middles`; and those that are new."""
    keys = _edge_keys(triangles)                                                  # (T, 3)
    place = np.minimum(np.searchsorted(cut, keys), len(cut) - 1)
    is_cut = cut[place] == keys
    nodes = np.concatenate([triangles, middles[place]], axis=1)                   # (T, 6)
    kept, fresh = triangles[~is_cut.any(axis=1)], []
    for pattern, parts in SPLITS.items():
        here = nodes[(is_cut == pattern).all(axis=1)]
        fresh += [here[:, corners] for corners in parts]
    fresh = np.concatenate(fresh)
    return np.concatenate([kept, fresh]), fresh


def _edge_keys(triangles):
    """One number for each edge 01, 12, 20, the same from both of its sides, (T, 3)."""
    after = np.roll(triangles, -1, axis=1)
    return np.minimum(triangles, after) << 32 | np.maximum(triangles, after)


def _candidates(x, corners, triangles):
    """Yield (points, triangles), equally long: pairs whose bounding boxes meet, every covering pair among them.

    The points are sorted by column of the plane, then by height: a triangle
    then meets, in each column, one run of neighbors in this order.
    """
    low, span = x.min(axis=0), np.ptp(x, axis=0) + 1e-300
    columns = int(np.ceil(np.sqrt(len(x))))

    def column(x1):
        return np.clip((x1 - low[0]) / span[0] * columns, -1, columns).astype(int).clip(0, columns - 1)

    def height(x2):
        return np.clip((x2 - low[1]) / span[1], -0.4, 1.4) / 2                    # columns lie 1 apart

    key = column(x[:, 0]) + height(x[:, 1])
    order = np.argsort(key)
    key = key[order]
    least, most = corners[triangles].min(axis=1), corners[triangles].max(axis=1)  # (T, 2)
    near = np.flatnonzero(((most >= low) & (least <= low + span)).all(axis=1))
    first, last = column(least[near, 0]), column(most[near, 0])
    for part in _parts(last - first + 1):
        run, offset = _ramps((last - first + 1)[part])
        t, here = near[part][run], first[part][run] + offset
        start = np.searchsorted(key, here + height(least[t, 1]) - 1e-9)
        count = np.searchsorted(key, here + height(most[t, 1]) + 1e-9) - start
        for some in _parts(count):
            run, offset = _ramps(count[some])
            yield order[start[some][run] + offset], t[some][run]


def _ramps(counts):
    """For counts (2, 0, 3): the owners (0, 0, 2, 2, 2), and the places within (0, 1, 0, 1, 2)."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def _parts(counts):
    """Slices of consecutive entries whose counts add up to about CHUNK."""
    ends = np.flatnonzero(np.diff(np.cumsum(counts) // CHUNK)) + 1
    return [slice(a, b) for a, b in zip([0, *ends], [*ends, len(counts)])]


def _inside(x, corners, triangle):
    """Whether x (m, 2) lies in its triangle (m, 3), its weights of the corners (m, 3), and twice the area (m,).

    The two triangles at an edge ask the same question, computed from the edge's
    ends in the same order: no point falls between them or into both.
    """
    after = np.roll(triangle, -1, axis=1)
    low, high = corners[np.minimum(triangle, after)], corners[np.maximum(triangle, after)]
    side = _cross(high - low, x[:, None] - low)                                   # (m, 3): left of the edge
    flip = np.where(triangle < after, 1, -1)
    area = _area(corners[triangle])
    left = (side >= 0) == (flip > 0)                                              # seen along the triangle
    inside = (left == (area > 0)[:, None]).all(axis=1) & (area != 0)
    weights = np.roll(flip * side, -1, axis=1) / np.where(area == 0, 1, area)[:, None]     # edge 12 faces corner 0
    return inside, weights, area


def _cross(u, v):
    return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]


def _area(corners):
    """Twice the signed area of triangles (m, 3, 2)."""
    return _cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def _masses(corners):
    """The mass of N(0, I) in triangles (m, 3, 2), by its density at their middle."""
    middle = corners.mean(axis=1)
    return np.abs(_area(corners)) / 2 * np.exp(-0.5 * (middle * middle).sum(axis=1)) / (2 * np.pi)


def _images(generator, z):
    """generator(z), checked, as float64."""
    parts = []
    for start in range(0, len(z), CHUNK):
        rows = z[start:start + CHUNK]
        x = np.asarray(generator(rows))
        if x.shape != rows.shape or x.dtype.kind != "f":
            raise ValueError(f"generator must take z {rows.shape} to floats x of the same shape, "
                             f"got dtype {x.dtype} of shape {x.shape}")
        parts.append(checks.finite(x.astype(float), "generator(z)"))
    return np.concatenate(parts)
