import numpy as np
import pytest

from scratch.learning.gradient_check import (central_difference, complex_step, directional_error, gradient,
                                             gradient_error, gradient_errors, pullback_errors)


def f(x):
    return np.sum(np.exp(0.5 * x)) + np.sin(x.flat[0] * x.flat[1])


def df(x):
    g = 0.5 * np.exp(0.5 * x)
    g.flat[0] += x.flat[1] * np.cos(x.flat[0] * x.flat[1])
    g.flat[1] += x.flat[0] * np.cos(x.flat[0] * x.flat[1])
    return g


def test_complex_step_is_exact_to_rounding(rng):
    x, v = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    assert abs(complex_step(f, x, v) - np.sum(df(x) * v)) < 1e-14


def test_central_difference_is_good_to_1e_9(rng):
    x, v = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    exact = np.sum(df(x) * v)
    assert abs(central_difference(f, x, v) - exact) < 1e-9
    for h in (1e-2, 1e-10):                                 # its step is near the best: truncation, rounding
        assert abs(central_difference(f, x, v, h) - exact) > 1e-8


@pytest.mark.parametrize("derivative, bound", [(complex_step, 1e-14), (central_difference, 1e-8)])
def test_a_right_gradient_passes_and_the_famous_wrong_ones_do_not(derivative, bound, rng):
    x = 0.8 + 0.2 * rng.random((2, 3))                      # where no coordinate of df is near 0
    assert gradient_error(f, x, df(x), derivative) < bound
    assert directional_error(f, x, df(x), rng, derivative) < bound
    one_wrong = df(x)
    one_wrong[1, 2] *= -1                                   # one sign in one place
    for wrong in (-df(x), 2 * df(x), df(x) / len(x), 0 * df(x), one_wrong):
        assert gradient_error(f, x, wrong, derivative) > 1e-2
        errors = [directional_error(f, x, wrong, rng, derivative) for _ in range(5)]
        assert max(errors) > 1e-2                           # one direction misses by chance in one draw of a hundred


def test_directional_error_measures_the_relative_error_of_the_gradient(rng):
    """A gradient that is 10 % too long has an error of 10 % of itself, in the root mean square over directions."""
    x = rng.normal(size=40)
    errors = [directional_error(f, x, 1.1 * df(x), rng) for _ in range(400)]
    assert abs(np.sqrt(np.mean(np.square(errors))) - 0.1 / 1.1) < 0.02


def test_gradient_has_the_shape_of_its_input(rng):
    x = rng.normal(size=(2, 3))
    np.testing.assert_allclose(gradient(f, x), df(x), rtol=1e-13)


def test_the_largest_of_the_errors_is_at_the_wrong_coordinate(rng):
    x = rng.normal(size=(2, 3))
    wrong = df(x)
    wrong[1, 2] += 0.3 * np.abs(df(x)).max()
    errors = gradient_errors(f, x, wrong)
    assert errors.shape == x.shape and np.unravel_index(np.argmax(errors), x.shape) == (1, 2)
    assert abs(errors[1, 2] - 0.3) < 1e-13 and gradient_error(f, x, wrong) == errors[1, 2]
    wrong[0, 1] = np.nan                                    # argmax finds nan, too
    assert np.argmax(gradient_errors(f, x, wrong)) == 1 and gradient_error(f, x, wrong) == np.inf


def test_a_nan_in_a_gradient_is_an_infinite_error(rng):
    def broken(x, y):
        return x + y, lambda dz: (dz, dz * np.nan)

    assert pullback_errors(broken, [rng.normal(size=4), rng.normal(size=4)], rng)[1] == np.inf
    x = rng.normal(size=3)
    assert directional_error(f, x, df(x) * np.nan, rng) == np.inf


def test_cotangents_are_not_uniform(rng):
    """y = (a, -a) sums to 0 in every digit, so that its lost pullback passes a uniform cotangent, as does a softmax's."""
    def without_pullback(a):
        return np.concatenate([a, -a]), lambda dy: np.zeros_like(a)

    assert pullback_errors(without_pullback, [rng.normal(size=4)], rng)[0] > 0.1


def test_pullback_errors_point_at_the_wrong_input(rng):
    def product(x, y):
        return x * y, lambda dz: (dz * y, dz * y)           # the second should be dz * x

    right, wrong = pullback_errors(product, [rng.normal(size=4), rng.normal(size=4)], rng)
    assert right < 1e-14 and wrong > 0.1


@pytest.mark.parametrize("call, error, says", [
    (lambda rng: complex_step(f, np.zeros(3, np.float32), np.zeros(3)), TypeError, "float64"),
    (lambda rng: complex_step(f, np.zeros(3), np.zeros(2)), ValueError, "direction"),
    (lambda rng: complex_step(f, np.zeros(3, complex), np.zeros(3)), TypeError, "float64"),
    (lambda rng: complex_step(f, np.array([np.nan, 0]), np.zeros(2)), ValueError, "x must be finite"),
    (lambda rng: complex_step(lambda x: np.abs(x).sum(), np.ones(3), np.ones(3)), TypeError, "complex-safe"),
    (lambda rng: gradient_error(f, np.zeros(0), np.zeros(0)), ValueError, "shape"),
    (lambda rng: central_difference(f, np.zeros(3), np.zeros(3), h=0.0), ValueError, "positive"),
    (lambda rng: gradient_error(f, np.zeros(3), np.zeros(2)), ValueError, "dx must have the shape of x"),
    (lambda rng: gradient_error(f, np.zeros(3, np.float32), np.zeros(3)), TypeError, "float64"),
    (lambda rng: directional_error(f, np.zeros(3), np.zeros(2), rng), ValueError, "dx must have the shape of x"),
    (lambda rng: directional_error(f, np.zeros(3), np.zeros(3), 7), TypeError, "Generator"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(rng)
