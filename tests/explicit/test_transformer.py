import numpy as np
import pytest
from scipy.stats import binom

from scratch.data.discrete import Brackets
from scratch.explicit.transformer import Transformer
from scratch.learning.optimizers import warmed_up_cosine
from scratch.learning.gradient_check import directional_error, gradient_error
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, fit

MODEL = Transformer(4, classes=3, width=6, heads=2, layers=2)


def random_theta(model, rng):
    return 0.4 * rng.standard_normal(model.size)            # gains and biases as asymmetric as the rest


def states(length, classes):
    return np.stack(np.unravel_index(np.arange(classes ** length), (classes,) * length), axis=1)


def next_logits(model, theta, x):
    """The logits (N, T, C) of every token given those before it, in one pass."""
    return model._network(theta, np.column_stack([np.full(len(x), model.classes), x[:, :-1]]))[0]


def naive_log_prob(model, theta, x):
    """The definition: one sequence and one position at a time, from its own past alone."""
    p = model.views(theta)

    def norm(h, name):
        return p[f"{name}_gain"] * (h - h.mean()) / np.sqrt(h.var() + 1e-5) + p[f"{name}_bias"]

    def next_logits(tokens):
        h = [p["token"][token] + p["position"][t] for t, token in enumerate(tokens)]
        for layer in map(str, range(model.layers)):
            q, k, v = zip(*(np.split(norm(row, f"{layer}.norm_1") @ p[f"{layer}.W_qkv"] + p[f"{layer}.b_qkv"], 3)
                            for row in h))
            d, mixed = model.width // model.heads, []
            for t in range(len(h)):
                y = np.zeros(model.width)
                for head in range(model.heads):
                    part = slice(head * d, (head + 1) * d)
                    weights = np.array([np.exp(q[t][part] @ k[s][part] / np.sqrt(d)) for s in range(t + 1)])
                    y[part] = sum(w * v[s][part] for s, w in enumerate(weights / weights.sum()))
                mixed.append(y @ p[f"{layer}.W_mix"] + p[f"{layer}.b_mix"])
            h = [row + m for row, m in zip(h, mixed)]
            for t, row in enumerate(h):
                a = norm(row, f"{layer}.norm_2") @ p[f"{layer}.W_up"] + p[f"{layer}.b_up"]
                h[t] = row + a / (1 + np.exp(-a)) @ p[f"{layer}.W_down"] + p[f"{layer}.b_down"]
        return norm(h[-1], "norm") @ p["W_out"] + p["b_out"]

    total = np.zeros(len(x))
    for n, row in enumerate(x.tolist()):
        for t, token in enumerate(row):
            logits = next_logits([model.classes, *row[:t]])
            total[n] += np.log(np.exp(logits[token]) / np.exp(logits).sum())
    return total


# ---- 1 definition ----

def test_log_prob_is_the_naive_loop(rng):
    theta, x = random_theta(MODEL, rng), rng.integers(0, 3, (4, 4))
    np.testing.assert_allclose(MODEL.log_prob(theta, x), naive_log_prob(MODEL, theta, x), rtol=1e-12)
    assert abs(MODEL.loss(theta, x)[0] + MODEL.log_prob(theta, x).mean()) < 1e-13


def test_views_cover_theta_once():
    theta = np.zeros(MODEL.size)
    for part in MODEL.views(theta).values():
        part += 1
    np.testing.assert_array_equal(theta, 1)


def test_init_gives_normed_inputs_the_variance_one_over_all_layers(rng):
    """W has the variance 1 / in; the 2 layers parts that are added to h have 1 / (2 layers) of it; p is nearly uniform."""
    model = Transformer(4, width=48, layers=3)
    for name, part in model.views(model.init(rng)).items():
        scale = {"W_mix": 1 / 6, "W_down": 1 / 6, "W_out": 0.01}.get(name.split(".")[-1], 1)
        if "W_" in name:
            assert abs(part.var() * len(part) / scale - 1) < 5 * np.sqrt(2 / part.size), name


# ---- 2 gradient ----

def test_gradient_in_every_parameter(rng):
    model = Transformer(3, classes=3, width=4, heads=2, layers=1)
    theta, x = random_theta(model, rng), rng.integers(0, 3, (4, 3))
    assert gradient_error(lambda theta: model.loss(theta, x)[0], theta, model.loss(theta, x)[1]) < 1e-10


def test_gradient_through_two_layers(rng):
    """Along random directions; and no parameter is left out but those that cannot matter."""
    theta, x = random_theta(MODEL, rng), rng.integers(0, 3, (6, 4))
    dtheta = MODEL.loss(theta, x)[1]
    for _ in range(10):
        assert directional_error(lambda theta: MODEL.loss(theta, x)[0], theta, dtheta, rng) < 1e-10
    touched = MODEL.views(dtheta != 0)
    for layer in range(2):                                  # softmax ignores a shift of all keys alike:
        touched[f"{layer}.b_qkv"] = np.delete(touched[f"{layer}.b_qkv"], slice(6, 12))
    assert all(part.all() for part in touched.values())


def test_perturbing_a_token_leaves_all_logits_up_to_it_bitwise_unchanged(rng):
    theta, x = MODEL.init(rng), rng.integers(0, 3, (20, 4))
    logits = next_logits(MODEL, theta, x)
    for t in range(4):
        moved = x.copy()
        moved[:, t] = (x[:, t] + 1) % 3
        after = next_logits(MODEL, theta, moved)
        np.testing.assert_array_equal(after[:, :t + 1], logits[:, :t + 1])
        assert (after[:, t + 1:] != logits[:, t + 1:]).all()            # and all later ones change


# ---- 3 two ways ----

def test_probabilities_of_all_sequences_sum_to_one(rng):
    assert abs(np.exp(MODEL.log_prob(random_theta(MODEL, rng), states(4, 3))).sum() - 1) < 1e-12


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-5), (np.float64, 1e-13)])
def test_steps_with_a_cache_give_the_logits_of_the_full_pass(dtype, tolerance, rng):
    model = Transformer(12, classes=5, width=16, layers=3)
    theta, x = model.init(rng, dtype), rng.integers(0, 5, (8, 12))
    full = next_logits(model, theta, x)
    caches, tokens = None, np.full(8, 5)
    for t in range(12):
        logits, _, caches = model._network(theta, tokens[:, None], caches)
        assert logits.dtype == dtype
        np.testing.assert_allclose(logits[:, 0], full[:, t], rtol=0, atol=tolerance)
        tokens = x[:, t]


@pytest.mark.parametrize("known", [(), (2,), (1, 0, 2)])
def test_samples_and_completions_follow_the_exact_probabilities(known, rng):
    theta, x = random_theta(MODEL, rng), states(4, 3)
    p = np.exp(MODEL.log_prob(theta, x))
    p[(x[:, :len(known)] != known).any(axis=1)] = 0
    p /= p.sum()
    drawn = MODEL.complete(theta, dict(enumerate(known)), 10_000, rng)
    count = np.bincount(np.ravel_multi_index(drawn.T, (3,) * 4), minlength=81)
    tails = np.minimum(binom.cdf(count, 10_000, p), binom.sf(count - 1, 10_000, p))     # exact also where n p < 1
    assert tails.min() > 3e-7                               # as rare as five errors


def test_same_seed_same_bits(rng):
    theta = MODEL.init(rng)
    first, second = (MODEL.sample(theta, 10, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert MODEL.loss(theta, first)[1].dtype == np.float32


# ---- 4 closed form ----

def test_with_nothing_added_to_h_it_is_a_table_of_bigrams(rng):
    """W_mix = W_down = 0 and no positions: the next token depends on the last one alone."""
    theta = random_theta(MODEL, rng)
    for name, part in MODEL.views(theta).items():
        if name == "position" or name.endswith(("_mix", "_down")):
            part[...] = 0
    x = states(4, 3)
    by_token = MODEL._log_conditionals(theta, x)[0]
    for before, after in np.ndindex(3, 3):
        here = (x[:, :-1] == before) & (x[:, 1:] == after)
        assert np.ptp(by_token[:, 1:][here]) < 1e-13


# ---- 5 learning ----

def test_the_language_is_uniform_over_well_formed_words(rng):
    law = Brackets(length=6)
    x = states(6, 4)
    words = x[law.well_formed(x)]
    assert len(words) == 5 * 2 ** 3                         # Catalan(3) shapes, two kinds for each of three pairs
    assert abs(law.entropy() - np.log(40)) < 1e-14
    drawn = law.sample(8000, rng)
    assert law.well_formed(drawn).all()
    _, count = np.unique(drawn, axis=0, return_counts=True)
    assert len(count) == 40 and np.sum((count - 200) ** 2 / 200) < 39 + 4 * np.sqrt(2 * 39)     # chi-squared


def test_learns_short_brackets(rng):
    law, model = Brackets(length=6), Transformer(6, classes=4, width=16, heads=2, layers=1)
    theta = fit(model, model.init(rng), law, rng, steps=150, recipe=Recipe(Adam(1e-2, beta2=0.99), batch_size=64))
    x = states(6, 4)
    kl = -np.log(40) - model.log_prob(theta, x[law.well_formed(x)]).mean()
    assert 0 < kl / 6 < 0.01                                # nats per token, by enumeration


def test_the_schedule_warms_up_and_ends_at_zero():
    assert warmed_up_cosine(0.0) == 0.01 and warmed_up_cosine(0.05) > 0.99 and warmed_up_cosine(1.0) < 1e-12


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda m, t, rng: Transformer(0), ValueError, "dim must be at least 1"),
    (lambda m, t, rng: Transformer(4, classes=1), ValueError, "classes must be at least 2"),
    (lambda m, t, rng: Transformer(4, width=6), ValueError, "width must be a multiple of heads"),
    (lambda m, t, rng: Transformer(4, layers=1.5), TypeError, "layers must be an integer"),
    (lambda m, t, rng: m.init(3), TypeError, "Generator"),
    (lambda m, t, rng: m.loss(t, np.zeros((2, 3), int)), ValueError, r"shape \(n, 4\)"),
    (lambda m, t, rng: m.loss(t, np.full((2, 4), 3)), ValueError, "integers 0 ... 2"),
    (lambda m, t, rng: m.log_prob(t, np.full((2, 4), np.nan)), ValueError, "finite"),
    (lambda m, t, rng: m.log_prob(t[:-1], np.zeros((2, 4), int)), ValueError, "theta must have shape"),
    (lambda m, t, rng: m.sample(t, 0, rng), ValueError, "n must be at least 1"),
    (lambda m, t, rng: m.sample(t, 5, 7), TypeError, "Generator"),
    (lambda m, t, rng: m.complete(t, dict.fromkeys(range(4), 0), 5, rng), ValueError, "fewer than 4"),
    (lambda m, t, rng: m.complete(t, {0: 5}, 5, rng), ValueError, "known classes must lie in 0 ... 2"),
    (lambda m, t, rng: m.complete(t, {0: 1.0}, 5, rng), TypeError, "each known class must be an integer"),
    (lambda m, t, rng: m.complete(t, {1: 0}, 5, rng), ValueError, r"first coordinates .*got \[1\]"),
    (lambda m, t, rng: m.complete(t, [1], 5, rng), TypeError, "known must be a dict"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(MODEL, MODEL.init(rng), rng)


def test_numpy_scalars_are_stored_as_python_numbers():
    model, plain = Transformer(dim=np.int64(3), classes=np.int64(2), width=np.int64(8), heads=np.int64(2)), Transformer(dim=3, classes=2, width=8, heads=2)
    assert model == plain and hash(model) == hash(plain) and repr(model) == repr(plain)


def test_init_keeps_the_variance_of_h_whatever_the_number_of_layers(rng):
    model = Transformer(4, classes=3, layers=3)
    views = model.views(model.init(rng, np.float64))
    for name, std in (("0.W_up", 48 ** -0.5), ("0.W_mix", (48 * 6) ** -0.5), ("2.W_down", (192 * 6) ** -0.5), ("token", 0.3)):
        assert views[name].std() == pytest.approx(std, rel=0.15), name
