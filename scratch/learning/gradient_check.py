"""Is this gradient the derivative of this function?  Two methods that use only its values.

Complex step (Squire and Trapp 1998, "Using complex variables to estimate derivatives of real
functions").  For a function that is analytic and written without abs or conj,

    f(x + i h v) = f(x) + i h <grad f, v> - h^2/2 v^T f'' v - ...

    (1)  <grad f, v> = Im f(x + i h v) / h + O(h^2)

No difference is taken, so nothing cancels: with h = 1e-30 the result is exact to rounding.

Central difference, for functions that are not complex-safe:

    (2)  <grad f, v> = (f(x + h v) - f(x - h v)) / (2 h) + O(h^2)

Truncation grows as h^2, and the rounding of f, of size eps |f|, as eps / h.  Their sum is
least near h = eps^(1/3) = 6e-6 in float64, where both are about eps^(2/3) = 4e-11 of f.
Checked in tests/learning/test_gradient_check.py::test_complex_step_is_exact_to_rounding.
Checked in tests/learning/test_gradient_check.py::test_central_difference_is_good_to_1e_9.

A gradient of P parameters needs P evaluations.  For a large P one random unit vector v is enough:
along it a wrong gradient agrees with the right one with probability zero.

figures/learning/certificate.py does this for every model and kernel.  A check proves that a gradient
belongs to its value, not that the value is right: tests/known_bugs/ has 34 errors of both kinds.
"""
import numpy as np

from scratch import checks

COMPLEX_STEP = 1e-30                                        # any h below 1e-8 gives h^2 < eps
CENTRAL_STEP = float(np.finfo(float).eps ** (1 / 3))        # derived above


def complex_step(f, x, v):
    """The derivative of the scalar function f at x (any shape) along v, exact to rounding."""
    x, v = _point_and_direction(x, v)
    moved = _value(f, x + 1j * COMPLEX_STEP * v)
    if not np.iscomplexobj(moved):
        raise TypeError("f must be complex-safe, but dropped the imaginary part of its input on the way")
    return float(np.imag(moved) / COMPLEX_STEP)                                 # (1)


def central_difference(f, x, v, h=CENTRAL_STEP):
    """The derivative of the scalar function f at x along v, to about 1e-10 of the scale of f."""
    h = checks.positive(h, "h")
    x, v = _point_and_direction(x, v)
    return float((_value(f, x + h * v) - _value(f, x - h * v)) / (2 * h))       # (2)


def gradient(f, x, derivative=complex_step):
    """The whole gradient of f at x, one coordinate at a time: for small x.

    >>> gradient(lambda x: x[0] * x[1] ** 2, np.array([3.0, 2.0]))
    array([ 4., 12.])
    """
    x, derivative = _point_and_direction(x, x)[0], checks.function(derivative, "derivative")
    directions = np.eye(x.size).reshape(x.size, *x.shape)
    return np.array([derivative(f, x, v) for v in directions]).reshape(x.shape)


def gradient_errors(f, x, dx, derivative=complex_step):
    """|dx - gradient of f| in every coordinate, relative to max |gradient of f|: the shape of x.

    The largest entry shows where a gradient is wrong; a model's blocks name the place.

    >>> gradient_errors(lambda x: x[0] * x[1] ** 2, np.array([3.0, 2.0]), np.array([4.0, 6.0]))
    array([0. , 0.5])
    """
    x, dx = _same_shape(x, dx, "dx")
    exact = gradient(f, x, derivative)
    errors = np.abs(dx - exact) / (np.max(np.abs(exact)) or 1.0)
    return np.where(np.isfinite(errors), errors, np.inf)        # max([0.0, nan]) would be 0.0


def gradient_error(f, x, dx, derivative=complex_step):
    """The largest of the gradient_errors."""
    return float(np.max(gradient_errors(f, x, dx, derivative)))


def directional_error(f, x, dx, rng, derivative=complex_step):
    """The error of <dx, v> for a random unit vector v, relative to the typical |dx| / sqrt(P)."""
    x, dx = _same_shape(x, dx, "dx")
    v = checks.generator(rng).standard_normal(x.shape)
    v /= np.linalg.norm(v)
    typical = np.linalg.norm(dx) / np.sqrt(v.size)
    error = float(abs(np.sum(dx * v) - checks.function(derivative, "derivative")(f, x, v)) / (typical or 1.0))
    return error if np.isfinite(error) else np.inf


def pullback_errors(kernel, inputs, rng):
    """The error of a kernel's pullback (vector-Jacobian product) in each of its inputs, as a list.

    kernel(*inputs) -> (*outputs, pull).  The function checked is <dy, y> with random dy.  A uniform
    dy would hide errors: the rows of a softmax sum to 1, so that a lost pullback passes as 0.
    """
    checks.generator(rng)
    if not isinstance(inputs, (list, tuple)):
        raise TypeError(f"inputs must be a list of arrays, got {checks.brief(inputs)}")
    *outputs, pull = checks.function(kernel, "kernel")(*inputs)
    cotangents = [rng.standard_normal(np.shape(y)) for y in outputs]
    gradients = pull(*cotangents)
    if len(inputs) == 1 and not isinstance(gradients, tuple):
        gradients = (gradients,)

    def contracted(place, value):
        *moved, _ = kernel(*inputs[:place], value, *inputs[place + 1:])
        return sum(np.sum(dy * y) for dy, y in zip(cotangents, moved))

    return [gradient_error(lambda value, place=place: contracted(place, value), x, dx)
            for place, (x, dx) in enumerate(zip(inputs, gradients))]


def _value(f, x):
    value = checks.function(f, "f")(x)
    if np.ndim(value):
        raise ValueError(f"f must return one number, got shape {np.shape(value)}")
    return value


def _point_and_direction(x, v):
    x, v = _same_shape(x, v, "the direction")
    if x.dtype != np.float64:
        raise TypeError(f"check gradients in float64, where 1e-10 can be seen; "
                        f"got x of dtype {x.dtype} and shape {x.shape}")
    return checks.finite(x, "x"), v


def _same_shape(x, other, name):
    x, other = checks.array(x, "x"), checks.array(other, name)
    if other.shape != x.shape:
        raise ValueError(f"{name} must have the shape of x, {x.shape}, got {other.shape}")
    return x, other
