"""Bad arguments of the folder's public functions, one at a time, are answered clearly (see tests/test_doors.py)."""
import numpy as np
import pytest

from scratch.data.gaussian_mixture import GaussianMixture
from scratch.discriminative import (
    classification, detection, generative_classifier, labeled, newton, regression, roc, smo, svm)
from scratch.discriminative.logistic_regression import LogisticRegression
from tests.test_doors import SAMPLES, unclear


def first(x):
    return x[:, 0]


def calls():
    """(function, good arguments) for every public function."""
    rng = np.random.default_rng(0)
    x, v, y = rng.normal(size=(12, 2)), rng.normal(size=12), np.arange(12) % 2
    rows, even, s = np.column_stack([x, y]), np.log(np.full((12, 2), 0.5)), 2.0 * y - 1
    law = GaussianMixture([[0.0, 0.0]], [np.eye(2)], [1.0])
    mixture = GaussianMixture([[0.0, 0.0], [1.0, 1.0]], [np.eye(2)] * 2, [0.5, 0.5])
    bayes = generative_classifier.GenerativeClassifier([law, law], [0.5, 0.5])
    kernel_svm, kernel_svr = svm.KernelSVM(2), svm.KernelSVR(2)
    machine, tube = kernel_svm.fit(rows), kernel_svr.fit(rows)
    picture, windows = rng.normal(size=(6, 7)), rng.normal(size=(12, 4))
    logistic, linear, theta = LogisticRegression(2, penalty=0.1), svm.LinearSVM(2), rng.normal(size=3)
    insertion = detection.Insertion(windows, np.ones(4))
    return [
        (classification.error_rate, dict(log_posterior=even, y=y)),
        (classification.nats, dict(log_posterior=even, y=y)),
        (classification.temperature, dict(log_posterior=np.log([[0.6, 0.4]] * 12), y=np.arange(12) % 3 % 2)),
        (classification.reliability, dict(p=np.full(12, 0.5), hits=y, bins=2)),
        (regression.nats, dict(mean=v, std=np.ones(12), y=v)),
        (regression.transform, dict(mean=v, std=np.ones(12), y=v)),
        (regression.coverage, dict(mean=v, std=np.ones(12), y=v, level=0.9)),
        (roc.roc_curve, dict(positive=v, negative=v)),
        (roc.area_under_roc, dict(positive=v, negative=v)),
        (roc.area_under_roc, dict(positive=v, negative=v, positive_clusters=y, negative_clusters=y)),
        (roc.area_difference, dict(first=(v, v), second=(v, -v), positive_clusters=y, negative_clusters=y)),
        (detection.windows, dict(picture=picture, size=3)),
        (detection.score_map, dict(score=first, picture=picture, size=3, mask=np.ones((4, 5), bool))),
        (detection.suppress, dict(scores=picture, radius=1)),
        (detection.match, dict(marks=detection.suppress(picture, 1), structures=[[1.0, 2.0]], radius=1)),
        (detection.free_response, dict(scores=v, hits=y, structures=9, pictures=2)),
        (detection.matched_filter, dict(template=np.ones(4), backgrounds=windows, noise=0.1)),
        (detection.Insertion, dict(backgrounds=windows, template=np.ones(4), hard=windows, hard_share=0.5)),
        (insertion.sample, dict(n=3, rng=rng)),
        (detection.hardest, dict(score=first, negatives=windows, n=2)),
        (generative_classifier.GenerativeClassifier, dict(laws=[law, law], shares=[0.5, 0.5])),
        (bayes.log_joint, dict(x=x)), (bayes.log_posterior, dict(x=x)), (bayes.predict, dict(x=x)),
        (bayes.log_prob, dict(rows=rows)), (bayes.sample, dict(n=3, rng=rng)),
        (generative_classifier.learn_classes, dict(rows=rows, classes=2, learn=lambda x: law)),
        (generative_classifier.gaussian_discriminant, dict(rows=rows, classes=2)),
        (generative_classifier.parts_of_mixture, dict(mixture=mixture, classes=[0, 1])),
        (labeled.join, dict(x=x, y=y)), (labeled.split_classes, dict(rows=rows, dim=2, classes=2)),
        (labeled.split_numbers, dict(rows=rows, dim=2)),
        (newton.minimum, dict(model=logistic, rows=rows)),
        (lambda **given: list(newton.newton(**given)), dict(model=logistic, rows=rows, theta=theta)),
        (logistic.fit, dict(rows=rows)), (logistic.hessian, dict(theta=theta, rows=rows)),
        (logistic.scores, dict(theta=theta, x=x)), (linear.fit, dict(rows=rows)),
        (linear.hessian, dict(theta=theta, rows=rows)), (linear.primal_and_dual, dict(theta=theta, rows=rows)),
        (linear.scores, dict(theta=theta, x=x)), (svm.RBF, dict(width=1.0)), (svm.RBF(1.0), dict(x=x, z=x)),
        (svm.linear, dict(x=x, z=x)), (svm.KernelSVM, dict(dim=2, penalty=0.1, kernel=svm.linear)),
        (kernel_svm.fit, dict(rows=rows, tolerance=1e-3, most_steps=10_000)),
        (kernel_svm.scores, dict(machine=machine, x=x)), (kernel_svm.predict, dict(theta=machine, x=x)),
        (svm.KernelSVR, dict(dim=2, penalty=0.1, kernel=svm.linear, epsilon=0.1)),
        (kernel_svr.fit, dict(rows=rows, tolerance=1e-3)), (kernel_svr.predict, dict(machine=tube, x=x)),
        (smo.maximize_dual, dict(K=svm.RBF(1.0)(x, x), target=s, low=np.minimum(s, 0), high=np.maximum(s, 0),
                                 epsilon=0.0, tolerance=1e-3, most_steps=10_000))]


@pytest.mark.parametrize("values", SAMPLES)
def test_bad_arguments_of_the_public_functions_are_answered_clearly(values):
    tries, found = unclear(((getattr(function, "__qualname__", type(function).__name__), function, good) for function, good in calls()), values)
    assert tries > 600 and len(found) <= 0.005 * tries, "\n".join(found)
