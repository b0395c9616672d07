from itertools import permutations

import numpy as np
import pytest

from scratch.implicit.diffusion.text import MIX, TABLE, TextEncoder, tokenize
from scratch.learning.gradient_check import directional_error, gradient_error

ATTENTION, BAG = TextEncoder(5, width=4), TextEncoder(5, width=4, attention=False)
TOKENS = np.array([[1, 2, 3, 0, 0, 0], [5, 1, 2, 3, 4, 1], [4, 0, 0, 0, 0, 0], [0] * 6, [2, 1, 2, 0, 0, 0]])


def random_theta(text, rng):
    return 0.7 * rng.standard_normal(text.size)


def naive(text, theta, tokens):
    """The definition: one prompt, one place, one earlier place at a time; pads are never touched."""
    p, c = text.views(theta), np.zeros((len(tokens), text.width))
    for n, prompt in enumerate(tokens):
        words = [int(k) for k in prompt if k > 0]
        e = [p["table"][k - 1] for k in words]
        c[n] = sum(e, np.zeros(text.width))
        if not text.attention:
            continue
        keys, values = [], []
        for t in range(len(words)):
            h = e[t] + p["position"][t]
            z = p["gain"] * (h - h.mean()) / np.sqrt(h.var() + 1e-5) + p["bias"]
            q, k, v = (z @ p["W_qkv"][:, i * text.width:(i + 1) * text.width] for i in range(3))
            keys.append(k), values.append(v)
            weights = np.exp([q @ key / np.sqrt(text.width) for key in keys])
            c[n] += sum(w * value for w, value in zip(weights / weights.sum(), values)) @ p["W_mix"]
    return c


# ---- 1 definition ----

@pytest.mark.parametrize("text", [ATTENTION, BAG])
def test_the_context_is_the_naive_loop(text, rng):
    theta = random_theta(text, rng)
    np.testing.assert_allclose(text(theta, TOKENS)[0], naive(text, theta, TOKENS), rtol=1e-12, atol=1e-13)


def test_only_attention_sees_the_order_of_the_words(rng):
    for text in (ATTENTION, BAG):
        orders = np.array([[*order, 0, 0, 0] for order in permutations([1, 2, 3])])
        c, _ = text(random_theta(text, rng), orders)
        spread = np.abs(c - c[0])[1:].max(axis=1)
        assert (spread > 1e-3).all() if text is ATTENTION else (spread < 1e-12).all()


def test_the_empty_prompt_is_no_context_and_pads_change_nothing(rng):
    """A longer encoder with the same table and first positions gives the same code."""
    theta = random_theta(ATTENTION, rng)
    c, _ = ATTENTION(theta, TOKENS)
    assert (c[3] == 0).all() and (c[[0, 1, 2, 4]] != 0).all()
    longer = TextEncoder(5, width=4, length=9)
    parts = ATTENTION.views(theta) | {"position": np.concatenate([ATTENTION.views(theta)["position"], np.ones((3, 4))])}
    more = np.concatenate([parts[name].ravel() for name in longer.shapes])
    np.testing.assert_allclose(longer(more, np.pad(TOKENS, ((0, 0), (0, 3))))[0], c, rtol=1e-12)


def test_words_become_integers_and_unknown_ones_are_named():
    np.testing.assert_array_equal(tokenize(["b a", ""], ("a", "b"), 3), [[2, 1, 0], [0, 0, 0]])
    for prompt in ("c", "a a a a"):
        with pytest.raises(ValueError, match="at most 3 of the words a, b, got"):
            tokenize([prompt], ("a", "b"), 3)


# ---- 2 gradient ----

@pytest.mark.parametrize("text", [ATTENTION, BAG])
def test_gradient_in_every_parameter(text, rng):
    theta = random_theta(text, rng)
    c, pull = text(theta, TOKENS)
    dc = rng.standard_normal(c.shape)
    dtheta = pull(dc)
    assert gradient_error(lambda theta: np.sum(dc * text(theta, TOKENS)[0]), theta, dtheta) < 1e-10
    assert directional_error(lambda theta: np.sum(dc * text(theta, TOKENS)[0]), theta, dtheta, rng) < 1e-10
    assert (dtheta != 0).all()                              # no block is dead
    np.testing.assert_array_equal(pull(dc), dtheta)         # twice the same: pull changes nothing


def test_blocks_cover_theta_and_init_has_the_scales_that_its_lines_name(rng):
    text = TextEncoder(40, width=50)
    theta = text.init(rng)
    assert theta.dtype == np.float32 and text(theta, np.ones((2, 6)))[0].dtype == np.float32
    covered = np.concatenate([np.arange(text.size)[block] for block in text.blocks.values()])
    np.testing.assert_array_equal(covered, np.arange(len(theta)))
    for name, std in dict(table=TABLE, position=TABLE, W_qkv=50 ** -0.5, W_mix=MIX * 50 ** -0.5).items():
        part = text.views(theta)[name]
        assert part.std() == pytest.approx(std, rel=5 / np.sqrt(2 * part.size))
    assert (text.views(theta)["gain"] == 1).all() and (text.views(theta)["bias"] == 0).all()


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda t: TextEncoder(0), ValueError, "words must be at least 1"),
    (lambda t: TextEncoder(5, attention=1), TypeError, "attention must be True or False"),
    (lambda t: ATTENTION(t[:-1], TOKENS), ValueError, "theta must have shape"),
    (lambda t: ATTENTION(t, TOKENS[:, :5]), ValueError, r"x must have shape \(n, 6\)"),
    (lambda t: ATTENTION(t, TOKENS + 1), ValueError, "integers 0 ... 5"),
    (lambda t: ATTENTION(t, TOKENS + 0.5), ValueError, "integers 0 ... 5"),
    (lambda t: ATTENTION(t, TOKENS[:, ::-1]), ValueError, "pads .0. must stand behind the words"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(ATTENTION.init(rng))
