"""Generative classifiers: a distribution of x for each class, and Bayes' rule for the class.

    log p(x, k) = log p(x|k) + log p(k)                                                      (1)
    p(k|x)      = p(x, k) / p(x),       p(x) = sum_k p(x, k)                                 (2)

A GenerativeClassifier holds one distribution ("law") of x per class and the class priors p(k),
called `shares`.  It has the joint p(x, y), so it can also draw labeled rows.  Built from the true
distributions it is the Bayes classifier: its posterior is exact and its error the least possible.

The distributions may be known (data/) or learned by gradient (`Learned`: a model and its theta).
Gaussians of maximum likelihood have a closed form (Fisher 1936, "The Use of Multiple Measurements
in Taxonomic Problems"):

    m_k = mean of class k,    S_k = 1/N_k sum over class k of (x - m_k) (x - m_k)^T          (3)

This is quadratic discriminant analysis (QDA).  shared=True: all classes have the pooled covariance
S = sum_k N_k/N S_k, and the boundaries are planes (linear discriminant analysis, LDA).  naive=True:
S_k keeps its diagonal only, which assumes independent coordinates in a class (Gaussian naive
Bayes).  With a shared covariance the posterior is exactly that of a softmax regression:

    log p(k|x) = w_k^T x + b_k - log sum_j exp(w_j^T x + b_j),
    w_k = S^-1 m_k,    b_k = log p(k) - 1/2 m_k^T S^-1 m_k                                   (4)

Both models have the same set of posteriors, but LDA maximizes p(x, y) and softmax regression p(y|x)
(Ng and Jordan 2001, "On Discriminative vs. Generative Classifiers").
Checked in tests/discriminative/test_generative_classifier.py::test_posterior_is_bayes_rule
Checked in tests/discriminative/test_generative_classifier.py::test_moments_are_the_naive_loop
Checked in tests/discriminative/test_generative_classifier.py::test_a_shared_covariance_is_a_softmax
Symbols: N rows, N_k rows of class k, D inputs, C classes.
"""
from dataclasses import dataclass

import numpy as np

from scratch import checks
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.discriminative.labeled import join, most_probable, split_classes
from scratch.kernels.stable import log_softmax


@dataclass(frozen=True, eq=False)
class GenerativeClassifier:
    """Bayes' rule with one distribution of x per class; classes are 0 ... C-1.

    laws: C objects with log_prob(x) -> (N,), and sample(n, rng) if rows are to be drawn.
    shares: the priors p(k), positive, with sum 1 (up to 1e-6 of rounding, which is divided out).
    """
    laws: tuple
    shares: np.ndarray                                                            # (C,)

    def __post_init__(self):
        laws, shares = self.laws, checks.constant(self.shares, "shares")
        if (not isinstance(laws, (tuple, list)) or len(laws) < 2
                or not all(checks.has(law, "log_prob") for law in laws)):
            raise TypeError(f"laws must be at least 2 objects with log_prob(x), got {checks.brief(laws)}")
        if shares.shape != (len(laws),) or not (shares > 0).all() or abs(shares.sum() - 1) > 1e-6:
            raise ValueError(f"shares must be {len(laws)} positive numbers that sum to 1, "
                             f"got {checks.brief(shares)}")
        object.__setattr__(self, "laws", tuple(laws))
        object.__setattr__(self, "shares", shares / shares.sum())

    def log_joint(self, x):
        """log p(x, k) for every class, (N, C)."""
        x = checks.rows(x)
        return np.stack([law.log_prob(x) for law in self.laws], axis=1) + np.log(self.shares)  # (1)

    def log_posterior(self, x):
        """log p(k|x) for every class, (N, C)."""
        joint = self.log_joint(x)
        most_probable(joint)                                # raises where no class has mass
        return log_softmax(joint)[0]                                              # (2)

    def log_prob(self, rows):
        """log p(x, y) of labeled rows (not log p(y|x)), (N,)."""
        x, y = split_classes(rows, checks.rows(rows, name="rows").shape[1] - 1, len(self.laws))
        return self.log_joint(x)[np.arange(len(y)), y]

    def predict(self, x):
        """The most probable class, (N,)."""
        return most_probable(self.log_joint(x))

    def sample(self, n, rng):
        """n labeled rows (n, D + 1): y from the priors, then x from p(x|y) (ancestral sampling)."""
        n, rng = checks.size(n, "n"), checks.generator(rng)
        y = rng.choice(len(self.laws), size=n, p=self.shares)
        drawn = np.concatenate([self.laws[k].sample(int(np.sum(y == k)), rng) for k in np.unique(y)])
        x = np.empty(drawn.shape)
        x[np.argsort(y, kind="stable")] = drawn             # class 0 was drawn first
        return join(x, y)


@dataclass(frozen=True, eq=False)
class Learned:
    """A model with its theta as a distribution: log_prob(x) and sample(n, rng)."""
    model: object
    theta: np.ndarray

    def __post_init__(self):
        if not checks.has(self.model, "log_prob", "sample"):
            raise TypeError(f"model must have log_prob and sample, got {checks.brief(self.model)}")

    def log_prob(self, x):
        """log p(x) in nats, (N,)."""
        return self.model.log_prob(self.theta, x)

    def sample(self, n, rng):
        """n draws, (n, D)."""
        return self.model.sample(self.theta, n, rng)


def learn_classes(rows, classes, learn):
    """The classifier with learn(x) for each class's rows x, and class frequencies as priors.

    An example of learn: lambda x: Learned(model, fit(model, model.init(rng), x, rng, steps=1000))
    """
    (x, y, counts), learn = _classes_of(rows, classes), checks.function(learn, "learn")
    return GenerativeClassifier(tuple(learn(x[y == k]) for k in range(classes)), counts / len(y))


def gaussian_discriminant(rows, classes, *, shared=False, naive=False):
    """Gaussian classes of maximum likelihood (3), in closed form: LDA, QDA or naive Bayes."""
    x, y, counts = _classes_of(rows, classes)
    x = x.astype(float)
    means = np.stack([x[y == k].mean(axis=0) for k in range(classes)])            # (C, D)  (3)
    away = x - means[y]
    covariances = np.stack([away[y == k].T @ away[y == k] / counts[k] for k in range(classes)])   # (3)
    if shared:
        covariances[:] = np.einsum("k,kij->ij", counts / len(y), covariances)
    if naive:
        covariances *= np.eye(x.shape[1])
    laws = tuple(GaussianMixture([m], [S], [1.0]) for m, S in zip(means, covariances))
    return GenerativeClassifier(laws, counts / len(y))


def parts_of_mixture(mixture, classes):
    """The Bayes classifier if component i of a Gaussian mixture belongs to class classes[i]."""
    if not isinstance(mixture, GaussianMixture):
        raise TypeError(f"mixture must be a GaussianMixture, got {checks.brief(mixture)}")
    classes = checks.labels(classes, "classes")
    if classes.shape != mixture.weights.shape or classes.dtype.kind != "i":
        raise ValueError(f"classes must be integers, one for each component, got {checks.brief(classes)}")
    parts = [classes == k for k in range(classes.max() + 1)]
    priors = np.array([mixture.weights[part].sum() for part in parts])
    laws = tuple(GaussianMixture(mixture.means[i], mixture.covariances[i], mixture.weights[i] / prior)
                 for i, prior in zip(parts, priors))
    return GenerativeClassifier(laws, priors)


def _classes_of(rows, classes):
    """x, y and the number of rows of each class, none of them 0."""
    classes = checks.size(classes, "classes", minimum=2)
    x, y = split_classes(rows, checks.rows(rows, name="rows").shape[1] - 1, classes)
    counts = np.bincount(y, minlength=classes)
    if not counts.all():
        raise ValueError(f"every class needs rows to learn from, got {counts.tolist()}")
    return x, y, counts
