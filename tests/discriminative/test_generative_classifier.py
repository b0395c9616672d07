import numpy as np
import pytest

from scratch.data.distributions import Checkerboard, GaussianMixture, moons
from scratch.discriminative.generative_classifier import (
    GenerativeClassifier, Learned, gaussian_discriminant, learn_classes, parts_of_mixture)
from scratch.discriminative.labeled import join, split_classes
from scratch.discriminative.logistic_regression import SoftmaxRegression
from scratch.divergence.closed_form import kl_gaussians
from scratch.explicit.mixture_em import MixtureEM
from scratch.grid import midpoints

MOONS = moons(std=0.3)
TRUTH = parts_of_mixture(MOONS, np.arange(len(MOONS.weights)) * 2 // len(MOONS.weights))


def three_gaussians(shared):
    covariances = [[[1.0, 0.6], [0.6, 0.8]], [[0.3, -0.1], [-0.1, 0.5]], [[2.0, 0.0], [0.0, 0.4]]]
    laws = [GaussianMixture([m], [covariances[0] if shared else c], [1.0])
            for m, c in zip(([0.0, 0.0], [2.0, 1.0], [-1.0, 2.0]), covariances)]
    return GenerativeClassifier(laws, [0.5, 0.3, 0.2])


# ---- Bayes' rule ----

def test_posterior_is_bayes_rule(rng):
    truth, x = three_gaussians(shared=False), rng.normal(size=(5, 2))
    for row, log_posterior, log_joint in zip(x, truth.log_posterior(x), truth.log_joint(x)):
        joint = [share * np.exp(law.log_prob(row[None])[0]) for law, share in zip(truth.laws, truth.shares)]
        np.testing.assert_allclose(np.exp(log_posterior), np.array(joint) / sum(joint), rtol=1e-12)
        np.testing.assert_allclose(np.exp(log_joint), joint, rtol=1e-12)


def test_the_joint_sums_and_integrates_to_one():
    nodes, cell = midpoints([(-12, 12)] * 2, 300)
    joint = cell * np.exp(three_gaussians(shared=False).log_joint(nodes))
    np.testing.assert_allclose(joint.sum(axis=0), [0.5, 0.3, 0.2], rtol=1e-6)


def test_samples_follow_the_joint(rng):
    """Class frequencies and means of the drawn rows, and E log p(x, y) against quadrature."""
    truth = three_gaussians(shared=False)
    rows = truth.sample(40_000, rng)
    x, y = split_classes(rows, 2, 3)
    for k, mean in enumerate(([0.0, 0.0], [2.0, 1.0], [-1.0, 2.0])):
        assert abs(np.mean(y == k) - truth.shares[k]) < 5 * np.sqrt(0.25 / 40_000)
        np.testing.assert_allclose(x[y == k].mean(axis=0), mean, atol=5 * 1.5 / np.sqrt(np.sum(y == k)))
    nodes, cell = midpoints([(-12, 12)] * 2, 300)
    log_joint = truth.log_joint(nodes)
    terms = truth.log_prob(rows)
    assert abs(terms.mean() - cell * np.sum(np.exp(log_joint) * log_joint)) < 5 * terms.std() / 200


def test_the_posterior_is_calibrated_and_no_rule_beats_its_prediction(rng):
    rows = TRUTH.sample(40_000, rng)
    x, y = split_classes(rows, 2, 2)
    p = np.exp(TRUTH.log_posterior(x)[:, 1])
    for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.0)):
        inside = (low <= p) & (p < high)
        assert abs(y[inside].mean() - p[inside].mean()) < 5 * np.sqrt(0.25 / inside.sum())
    error = np.mean(TRUTH.predict(x) != y)
    assert abs(error - np.minimum(p, 1 - p).mean()) < 5 * np.sqrt(0.25 / 40_000)
    assert error < np.mean((x[:, 1] < 0) != y)


def test_parts_of_a_mixture_add_up_to_it(rng):
    mixture = GaussianMixture(rng.normal(size=(5, 2)), [np.eye(2) * s for s in (0.1, 0.2, 0.3, 0.4, 0.5)],
                              [0.1, 0.3, 0.2, 0.15, 0.25])
    truth = parts_of_mixture(mixture, np.array([1, 0, 2, 1, 0]))
    x = rng.normal(size=(6, 2))
    np.testing.assert_allclose(np.exp(truth.log_joint(x)).sum(axis=1), np.exp(mixture.log_prob(x)), rtol=1e-12)
    np.testing.assert_allclose(truth.shares, [0.55, 0.25, 0.2])
    responsibilities = mixture.posterior(x)
    np.testing.assert_allclose(np.exp(truth.log_posterior(x))[:, 1], responsibilities[:, 0] + responsibilities[:, 3])


# ---- Gaussian classes ----

def test_moments_are_the_naive_loop(rng):
    rows = three_gaussians(shared=False).sample(60, rng)
    x, y = split_classes(rows, 2, 3)
    means = [sum(row for row, k in zip(x, y) if k == c) / np.sum(y == c) for c in range(3)]
    own = [sum(np.outer(row - means[c], row - means[c]) for row, k in zip(x, y) if k == c) / np.sum(y == c)
           for c in range(3)]
    pooled = sum(np.outer(row - means[k], row - means[k]) for row, k in zip(x, y)) / 60
    for shared, naive in ((False, False), (False, True), (True, False), (True, True)):
        fitted = gaussian_discriminant(rows, 3, shared=shared, naive=naive)
        np.testing.assert_allclose(fitted.shares, [np.mean(y == c) for c in range(3)])
        for law, mean, covariance in zip(fitted.laws, means, [pooled] * 3 if shared else own):
            np.testing.assert_allclose(law.means[0], mean)
            np.testing.assert_allclose(law.covariances[0], np.diag(np.diag(covariance)) if naive else covariance)


@pytest.mark.parametrize("shared", [False, True])
def test_finds_the_law_that_made_the_rows(shared, rng):
    """The KL of each class falls as 1/n: 5 parameters each, so about 5 / (2 n_k) nats."""
    truth = three_gaussians(shared)
    fitted = gaussian_discriminant(truth.sample(50_000, rng), 3, shared=shared)
    for law, found in zip(truth.laws, fitted.laws):
        assert kl_gaussians(law.means[0], law.covariances[0], found.means[0], found.covariances[0]).value < 1e-3


def gaussian(x):
    return GaussianMixture([x.mean(axis=0)], [np.atleast_2d(np.cov(x.T, bias=True))], [1.0])


def test_own_covariances_are_gaussians_learned_class_by_class(rng):
    rows = three_gaussians(shared=False).sample(200, rng)
    x = rng.normal(size=(5, 2))
    np.testing.assert_allclose(learn_classes(rows, 3, gaussian).log_joint(x),
                               gaussian_discriminant(rows, 3).log_joint(x), rtol=1e-10)


@pytest.mark.parametrize("naive", [False, True])
def test_a_shared_covariance_is_a_softmax(naive, rng):
    """The weights of the docstring give the same posterior, exactly."""
    fitted = gaussian_discriminant(three_gaussians(shared=True).sample(200, rng), 3, shared=True, naive=naive)
    S = fitted.laws[0].covariances[0]
    means = np.stack([law.means[0] for law in fitted.laws])
    W = np.linalg.solve(S, means.T)
    b = np.log(fitted.shares) - 0.5 * np.sum(means.T * W, axis=0)
    x = rng.normal(size=(9, 2))
    softmax = SoftmaxRegression(2, classes=3).log_posterior(np.append(W, b), x)
    np.testing.assert_allclose(softmax, fitted.log_posterior(x), rtol=1e-10)


def test_naive_bayes_multiplies_its_coordinates(rng):
    rows = three_gaussians(shared=False).sample(100, rng)
    fitted, x = gaussian_discriminant(rows, 3, naive=True), rng.normal(size=(4, 2))
    for k, law in enumerate(fitted.laws):
        one_by_one = sum(gaussian(rows[rows[:, 2] == k][:, [i]]).log_prob(x[:, [i]]) for i in range(2))
        np.testing.assert_allclose(law.log_prob(x), one_by_one, rtol=1e-12)


# ---- any density of the explicit family ----

def test_learned_densities_classify_nearly_as_well_as_the_truth_and_can_be_sampled(rng):
    model = MixtureEM(4, dim=2)
    fitted = learn_classes(TRUTH.sample(2000, rng), 2, lambda x: Learned(model, model.fit(x, rng, tolerance=1e-4)))
    rows = TRUTH.sample(20_000, rng)
    x, y = split_classes(rows, 2, 2)
    posterior = np.exp(TRUTH.log_posterior(x))
    bayes = 1 - posterior.max(axis=1).mean()
    reached = 1 - posterior[np.arange(len(x)), fitted.predict(x)].mean()
    assert 0 <= reached - bayes < 0.005                     # Gaussian classes are 0.08 worse
    made = fitted.sample(5000, rng)
    assert made.shape == (5000, 3)
    assert abs(np.mean(TRUTH.predict(made[:, :2]) != made[:, 2]) - bayes) < 0.03      # labels apart: 0.4


# ---- bad input ----

LAWS = TRUTH.laws


@pytest.mark.parametrize("call, error, says", [
    (lambda rng: GenerativeClassifier(LAWS[:1], [1.0]), TypeError, "at least 2 objects"),
    (lambda rng: GenerativeClassifier([1, 2], [0.5, 0.5]), TypeError, "objects with log_prob"),
    (lambda rng: GenerativeClassifier(LAWS, [0.5, 0.4]), ValueError, "sum to 1"),
    (lambda rng: GenerativeClassifier(LAWS, [1.0, 0.0]), ValueError, "positive"),
    (lambda rng: GenerativeClassifier(LAWS, [1.0]), ValueError, "shares must be 2 positive"),
    (lambda rng: TRUTH.sample(0, rng), ValueError, "n must be at least 1"),
    (lambda rng: TRUTH.predict(np.zeros((3, 3))), ValueError, r"shape \(n, 2\)"),
    (lambda rng: TRUTH.log_prob(np.full((3, 3), 2.0)), ValueError, "classes 0 ... 1, got 2.0"),
    (lambda rng: gaussian_discriminant(np.zeros((5, 3)), 2), ValueError, r"every class needs rows .* \[5, 0\]"),
    (lambda rng: gaussian_discriminant(np.zeros(5), 2), ValueError, r"rows must have shape \(n, dim\)"),
    (lambda rng: gaussian_discriminant(join(np.zeros((4, 2)), np.arange(4) % 2), 2), ValueError, "positive definite"),
    (lambda rng: parts_of_mixture(MOONS, [0, 1]), ValueError, "one for each component"),
    (lambda rng: GenerativeClassifier([Checkerboard(2, 1.0), Checkerboard(4, 0.5)], [0.5, 0.5]).log_posterior(
        np.full((1, 2), 9.0)), ValueError, "no class has mass"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(rng)


# ---- where no class has mass; units ----

class Undefined:
    def log_prob(self, x):
        return np.full(len(x), np.nan)


def test_predict_and_the_posterior_refuse_the_same_rows(rng):
    squares = GenerativeClassifier([Checkerboard(2, 1.0), Checkerboard(4, 0.5)], [0.5, 0.5])
    for method in (squares.predict, squares.log_posterior):
        with pytest.raises(ValueError, match="no class has mass, or one is NaN, at 1 of 2 rows"):
            method(np.array([[9.0, 9.0], [0.5, 0.5]]) - [[0, 0], [0, 0]])
    for method in (GenerativeClassifier([LAWS[0], Undefined()], [0.5, 0.5]).predict, squares.predict):
        with pytest.raises(ValueError, match="no class has mass"):
            method(np.full((3, 2), 9.0))


def test_a_shift_of_the_columns_does_not_matter(rng):
    rows = three_gaussians(shared=False).sample(300, rng)
    x, y = split_classes(np.round(rows, 3), 2, 3)
    for shared in (False, True):
        here = gaussian_discriminant(join(x, y), 3, shared=shared).log_posterior(x)
        there = gaussian_discriminant(join(x + 1e6, y), 3, shared=shared).log_posterior(x + 1e6)
        np.testing.assert_allclose(there, here, atol=1e-6)


def test_classifiers_of_arrays_compare_and_hash_as_objects():
    assert TRUTH == TRUTH and len({TRUTH, three_gaussians(True)}) == 2
    one, two = (Learned(MixtureEM(1, dim=1), np.zeros(3)) for _ in range(2))
    assert one == one and one != two and len({one, two}) == 2


def test_a_message_shows_no_long_list(rng):
    with pytest.raises(TypeError) as error:
        GenerativeClassifier(list(range(100_000)), [0.5, 0.5])
    assert len(str(error.value)) < 200
