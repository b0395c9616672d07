import numpy as np
import pytest

from scratch.kernels.attention import EPSILON, affine, causal_attention, embedding, layer_norm
from scratch.learning.gradient_check import pullback_errors


def naive_attention(q, k, v):
    """The definition for one head, one number at a time: q (T, d), k and v (S, d)."""
    (T, d), S = q.shape, len(k)
    y = np.zeros((T, d))
    for t in range(T):
        last = S - T + t                                    # the query's own position
        weights = [np.exp(sum(q[t, i] * k[s, i] for i in range(d)) / np.sqrt(d)) for s in range(last + 1)]
        for s in range(last + 1):
            y[t] += weights[s] / sum(weights) * v[s]
    return y


@pytest.mark.parametrize("T, S", [(5, 5), (1, 5), (2, 5), (1, 1)])
def test_attention_is_the_naive_loop(T, S, rng):
    q, k, v = rng.normal(size=(2, 3, T, 4)), rng.normal(size=(2, 3, S, 4)), rng.normal(size=(2, 3, S, 4))
    y, _ = causal_attention(q, k, v)
    for n in np.ndindex(2, 3):
        np.testing.assert_allclose(y[n], naive_attention(q[n], k[n], v[n]), rtol=1e-12)


@pytest.mark.parametrize("T, S", [(4, 4), (2, 4)])
def test_attention_pullback_in_queries_keys_and_values(T, S, rng):
    inputs = [rng.normal(size=(2, length, 3)) for length in (T, S, S)]
    assert max(pullback_errors(causal_attention, inputs, rng)) < 1e-12


def test_attention_depends_on_no_later_position_in_value_and_gradient(rng):
    q, k, v = rng.normal(size=(3, 6, 4))
    y, pull = causal_attention(q, k, v)
    k[4:], v[4:] = 7.0, -1e3
    np.testing.assert_array_equal(causal_attention(q, k, v)[0][:4], y[:4])
    dy = np.zeros_like(y)
    dy[2] = 1.0
    dq, dk, dv = pull(dy)
    assert (dk[3:] == 0).all() and (dv[3:] == 0).all() and (dq[[0, 1, 3, 4, 5]] == 0).all()


def test_equal_keys_have_equal_weights(rng):
    v = rng.normal(size=(5, 2))
    y, _ = causal_attention(rng.normal(size=(5, 2)), np.ones((5, 2)), v)
    np.testing.assert_allclose(y, np.cumsum(v, axis=0) / np.arange(1, 6)[:, None], rtol=1e-14)


def test_attention_survives_huge_scores(rng):
    q = 1e4 * rng.normal(size=(4, 3))
    y, pull = causal_attention(q, q, q)
    assert np.isfinite(y).all() and all(np.isfinite(d).all() for d in pull(y))


def test_layer_norm_is_the_definition(rng):
    x, gain, bias = rng.normal(2, 3, (4, 5)), rng.normal(size=5), rng.normal(size=5)
    y, _ = layer_norm(x, gain, bias)
    for n in range(4):
        mean = sum(x[n]) / 5
        variance = sum((value - mean) ** 2 for value in x[n]) / 5
        for i in range(5):
            assert abs(y[n, i] - gain[i] * (x[n, i] - mean) / np.sqrt(variance + EPSILON) - bias[i]) < 1e-12


def test_layer_norm_pullback_in_the_input_gain_and_bias(rng):
    inputs = [rng.normal(0.5, 2, (2, 3, 5)), rng.normal(1, 0.3, 5), rng.normal(size=5)]
    assert max(pullback_errors(layer_norm, inputs, rng)) < 1e-12


def test_layer_norm_does_not_change_under_shift_and_hardly_under_scale(rng):
    x = rng.normal(size=(3, 8))
    y = layer_norm(x, np.ones(8), np.zeros(8))[0]
    np.testing.assert_allclose(layer_norm(100 * x + 5, np.ones(8), np.zeros(8))[0], y, rtol=1e-4)
    assert np.isfinite(layer_norm(np.full((1, 8), 3.0), np.ones(8), np.zeros(8))[0]).all()


def test_the_gradient_of_layer_norm_has_no_component_along_a_shift_and_hardly_along_z(rng):
    x, gain = rng.normal(0, 50, (3, 8)), rng.normal(1, 0.3, 8)          # EPSILON is 4e-9 of the variance
    z, _ = layer_norm(x, np.ones(8), np.zeros(8))
    dx, _, _ = layer_norm(x, gain, np.zeros(8))[1](rng.normal(size=(3, 8)))
    np.testing.assert_allclose(dx.sum(axis=-1), 0, atol=1e-15)
    np.testing.assert_allclose((dx * z).sum(axis=-1), 0, atol=1e-9)


def test_embedding_and_affine_pull_back(rng):
    x = np.array([[0, 2, 2], [1, 2, 0]])                    # a row used three times collects three gradients
    table = rng.normal(size=(4, 5))
    np.testing.assert_array_equal(embedding(table, x)[0][1, 1], table[2])
    assert max(pullback_errors(lambda table: embedding(table, x), [table], rng)) < 1e-12
    inputs = [rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 2)), rng.normal(size=2)]
    np.testing.assert_allclose(affine(*inputs)[0][1, 2], inputs[0][1, 2] @ inputs[1] + inputs[2], rtol=1e-13)
    assert max(pullback_errors(affine, inputs, rng)) < 1e-12


@pytest.mark.parametrize("x", [np.array([3]), np.array([-1]), np.array([], int)])
def test_embedding_names_a_row_that_is_not_there(x):
    with pytest.raises(ValueError, match="integers 0 ... 2"):
        embedding(np.zeros((3, 2)), x)


@pytest.mark.parametrize("call", [
    lambda: affine(np.zeros((4, 3)), np.zeros((2, 5)), np.zeros(5)),
    lambda: affine(np.zeros((4, 3)), np.zeros((3, 5)), np.zeros(1)),
    lambda: affine(np.zeros((4, 3)), np.zeros((3, 5)), np.zeros(5))[1](np.zeros(5)),
    lambda: causal_attention(np.zeros((2, 2)), np.zeros((2, 3)), np.zeros((2, 2))),
    lambda: causal_attention(np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((3, 2))),
])
def test_a_wrong_shape_is_an_error_and_never_broadcast(call):
    with pytest.raises(ValueError):
        call()


@pytest.mark.parametrize("kernel, shapes", [(causal_attention, [(4, 3)] * 3), (layer_norm, [(4, 3), (3,), (3,)]),
                                            (affine, [(4, 3), (3, 2), (2,)])])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_dtype_follows_the_inputs_and_pull_changes_nothing(kernel, shapes, dtype, rng):
    inputs = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    kept = [value.copy() for value in inputs]
    y, pull = kernel(*inputs)
    dy = rng.normal(size=y.shape).astype(dtype)
    dy_kept = dy.copy()
    for first, second in zip(pull(dy), pull(dy)):
        assert first.dtype == y.dtype == dtype
        np.testing.assert_array_equal(first, second)
    for now, then in zip((*inputs, dy), (*kept, dy_kept)):
        np.testing.assert_array_equal(now, then)
