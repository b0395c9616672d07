from decimal import Decimal, localcontext

import numpy as np
import pytest

from scratch.kernels import stable
from scratch.learning.gradient_check import pullback_errors

KERNELS = [stable.sigmoid, stable.softplus, stable.log_sigmoid, stable.logsumexp, stable.log_softmax, stable.silu]

NAIVE = {                                                   # the definitions, good for moderate a only
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "softplus": lambda a: np.log(1 + np.exp(a)),
    "log_sigmoid": lambda a: np.log(1 / (1 + np.exp(-a))),
    "logsumexp": lambda a: np.array([np.log(sum(np.exp(v) for v in row)) for row in a]),
    "log_softmax": lambda a: np.array([[np.log(np.exp(v) / sum(np.exp(row))) for v in row] for row in a]),
    "silu": lambda a: a / (1 + np.exp(-a)),
}


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__)
def test_value_is_the_definition(kernel, rng):
    a = rng.normal(0, 2, (5, 4))
    np.testing.assert_allclose(kernel(a)[0], NAIVE[kernel.__name__](a), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__)
def test_pullback_is_the_gradient(kernel, rng):
    assert max(pullback_errors(kernel, [rng.normal(0.3, 2, (5, 4))], rng)) < 1e-12


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_extreme_logits_give_finite_values_and_gradients_of_their_dtype(kernel, dtype):
    a = np.array([[-1e4, -800, 0.0, 800, 1e4]], dtype)
    y, pull = kernel(a)
    da = pull(np.ones_like(y))
    assert y.dtype == da.dtype == dtype
    assert np.isfinite(y).all() and np.isfinite(da).all()


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__)
def test_pull_may_be_called_twice_and_changes_nothing(kernel, rng):
    a = rng.normal(size=(3, 4))
    before = a.copy()
    y, pull = kernel(a)
    dy = rng.normal(size=np.shape(y))
    dy_before = dy.copy()
    np.testing.assert_array_equal(pull(dy), pull(dy))
    np.testing.assert_array_equal(a, before)
    np.testing.assert_array_equal(dy, dy_before)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__)
@pytest.mark.parametrize("shape", [(4,), (2, 3, 4)])
def test_any_number_of_axes_is_taken_and_the_last_one_is_that_of_the_classes(kernel, shape, rng):
    a = rng.normal(0, 2, shape)
    (y, pull), (rows, pull_rows) = kernel(a), kernel(a.reshape(-1, 4))
    dy = rng.normal(size=np.shape(y))
    assert np.shape(y) == (shape[:-1] if kernel is stable.logsumexp else shape)
    np.testing.assert_allclose(np.reshape(y, rows.shape), rows, rtol=1e-14)
    np.testing.assert_allclose(pull(dy).reshape(-1, 4), pull_rows(dy.reshape(rows.shape)), rtol=1e-14)


def test_logsumexp_of_no_mass_is_minus_infinity():
    a = np.array([[-np.inf, -np.inf], [-np.inf, 2.0]])
    np.testing.assert_array_equal(stable.logsumexp(a)[0], [-np.inf, 2.0])


def test_log_softmax_is_a_log_probability(rng):
    y, _ = stable.log_softmax(rng.normal(0, 50, (6, 5)))
    np.testing.assert_allclose(np.exp(y).sum(axis=-1), 1, rtol=1e-14)


def test_log_sigmoid_keeps_the_digits_that_a_probability_has_lost():
    a = np.array([-40.0, 40.0])
    np.testing.assert_allclose(stable.log_sigmoid(a)[0], [-40 - 4.2e-18, -4.248354255291589e-18], rtol=1e-14)


def test_logsumexp_without_mass_has_a_gradient_of_zero():
    _, pull = stable.logsumexp(np.array([[-np.inf, -np.inf]]))
    np.testing.assert_array_equal(pull(np.ones(1)), [[0.0, 0.0]])


# ---- tails: the right values by decimal arithmetic, to 50 digits ----

TAILS = [-700.0, -100.0, -40.0, -30.0, -5.0, -1e-9, 0.0, 1e-9, 5.0, 30.0, 40.0, 100.0, 700.0]


def exact(formula, *values):
    """formula of the values as Decimals, rounded to float at the end."""
    with localcontext() as context:
        context.prec = 700                                  # 1 - 1e-305 has 305 nines
        return float(formula(*(Decimal(value) for value in values)))


TAIL_FORMULAS = {                                           # value and derivative
    "sigmoid": (lambda a: 1 / (1 + (-a).exp()), lambda a: (-a).exp() / (1 + (-a).exp()) ** 2),
    "softplus": (lambda a: (1 + a.exp()).ln(), lambda a: 1 / (1 + (-a).exp())),
    "log_sigmoid": (lambda a: -(1 + (-a).exp()).ln(), lambda a: 1 / (1 + a.exp())),
    "silu": (lambda a: a / (1 + (-a).exp()), lambda a: (1 + (-a).exp() + a * (-a).exp()) / (1 + (-a).exp()) ** 2),
}


@pytest.mark.parametrize("name", TAIL_FORMULAS)
def test_full_relative_precision_in_both_tails(name):
    y, pull = getattr(stable, name)(np.array(TAILS))
    value, derivative = TAIL_FORMULAS[name]
    np.testing.assert_allclose(y, [exact(value, a) for a in TAILS], rtol=1e-15 * 4)
    np.testing.assert_allclose(pull(np.ones_like(y)), [exact(derivative, a) for a in TAILS], rtol=1e-15 * 8)


def test_float32_keeps_the_tails_too():
    a = np.array([-85.0, -30.0, 30.0, 85.0], np.float32)
    y, pull = stable.sigmoid(a)
    np.testing.assert_allclose(y, [exact(TAIL_FORMULAS["sigmoid"][0], float(v)) for v in a], rtol=3e-7)
    np.testing.assert_allclose(pull(np.ones_like(a)), [exact(TAIL_FORMULAS["sigmoid"][1], float(v)) for v in a], rtol=3e-7)


def test_log_softmax_keeps_log_p_and_1_minus_p_of_a_probability_near_1():
    y, pull = stable.log_softmax(np.array([0.0, -40.0, -45.0]))
    p = [exact(lambda a, b, c: x / (a.exp() + b.exp() + c.exp()), 0, -40, -45)
         for x in (Decimal(1), Decimal(-40).exp(), Decimal(-45).exp())]
    rest = p[1] + p[2]
    np.testing.assert_allclose(y, [-rest, -40, -45], rtol=1e-15)
    np.testing.assert_allclose(pull(np.array([1.0, 0, 0])), [rest, -p[1], -p[2]], rtol=1e-14)


def test_log_softmax_does_not_change_if_a_constant_is_added_to_the_logits():
    a = np.array([[0.5, -1.25, 2.0], [3.0, 3.0, -7.5]])
    np.testing.assert_allclose(stable.log_softmax(a + 2.0 ** 40)[0], stable.log_softmax(a)[0], rtol=1e-15)


def test_log_softmax_of_a_class_without_mass():
    y, pull = stable.log_softmax(np.array([0.0, -np.inf]))
    np.testing.assert_array_equal(y, [0.0, -np.inf])
    np.testing.assert_array_equal(pull(np.array([1.0, 0.0])), [0.0, 0.0])
