"""The parts of the latent diffusion studies that are no models: prompts, and what is measured."""
import numpy as np
import pytest

from figures.case_studies import latent_parts as latent
from scratch.data.pictures import PROMPTED, WORDS, draw_parameters, prompt, sample


def text(row):
    return " ".join(latent.VOCABULARY[token - 1] for token in row if token > 0)


def test_full_prompts_are_the_four_words(rng):
    words, _ = sample(50, rng)
    tokens = latent.full_prompts(words)
    assert [text(row) for row in tokens] == prompt(words) and tokens.shape == (50, 6) and (tokens[:, 4:] == 0).all()


def test_negated_prompts_are_true_of_their_pictures(rng):
    words, _ = sample(2000, rng)
    tokens, first = latent.negated_prompts(words, rng), 0
    for row, (style, _, shape, _) in zip(tokens, words):
        style, shape, (one, two, three) = WORDS["style"][style], WORDS["shape"][shape], text(row).split()
        if one == "not":
            assert two in WORDS["style"] and two != style and three == shape
        else:
            assert one == style and two == "not" and three in WORDS["shape"] and three != shape
        first += one == "not"
    assert abs(first - 1000) < 5 * np.sqrt(500) and latent.obeys(tokens, words).all()


def test_a_bag_cannot_tell_what_a_not_belongs_to(rng):
    """The two prompts of the same words ask for different pictures."""
    words, _ = sample(500, rng)
    tokens = latent.negated_prompts(words, rng)
    swapped = tokens.copy()
    swapped[:, [0, 1]] = tokens[:, [1, 0]]
    assert not latent.obeys(swapped, words).any()


def test_batches_hold_codes_and_prompts_of_the_same_picture(rng):
    words, _ = sample(40, rng, PROMPTED)
    mean = np.arange(40.0)[:, None] * np.ones((1, 3))
    rows = latent.Prompted(mean, mean + 100, words).sample(4000, rng)
    picture, tokens = rows[:, 0].astype(int), rows[:, 6:].astype(int)
    assert (rows[:, :3] == rows[:, :1]).all() and (rows[:, 3:6] == rows[:, :1] + 100).all()
    negated = (tokens == 1).any(axis=1)
    np.testing.assert_array_equal(tokens[~negated], latent.full_prompts(words[picture[~negated]]))
    assert latent.obeys(tokens[negated], words[picture[negated]]).all()
    assert abs(negated.mean() - latent.NEGATED) < 5 * np.sqrt(0.21 / 4000)


def found(rng, n, change=lambda numbers: numbers):
    words, numbers = sample(n, rng)
    return latent.Reading(words, words, change(numbers), np.zeros(n))


def test_parameter_kl_is_zero_for_the_truth_and_equals_a_naive_loop(rng):
    """For the truth 2 n KL is chi-square of 80 degrees of freedom less its mean."""
    assert abs(latent.parameter_kl(found(rng, 4000))) < 5 * np.sqrt(160) / 8000
    whole, n, cells = found(rng, 20_000), 20_000, 81
    low, high = latent.ranges(whole.asked)
    place = np.floor(3 * (whole.numbers - low) / (high - low)).astype(int)
    count = np.zeros((3, 3, 3, 3))
    for row in place:
        count[tuple(row)] += 1
    naive = np.mean(np.log(1 / cells) - np.log((count + 0.5) / (n + 0.5 * (cells + 1)))) - 80 / (2 * n)
    assert latent.parameter_kl(whole) == pytest.approx(naive)


def test_parameter_kl_counts_what_lies_outside(rng):
    """An eighth of the rows moved out, whatever their cell: each q falls to 7/8, so the KL is log 8/7."""
    def out(numbers):
        numbers[::8, 1] += 10
        return numbers
    assert latent.parameter_kl(found(rng, 40_000, out)) == pytest.approx(np.log(8 / 7), abs=0.01)


def test_only_pictures_with_the_right_words_are_counted(rng):
    words, numbers = sample(2000, rng)
    wrong = (words + [0, 0, 1, 0]) % 6 % [4, 2, 6, 2]
    mixed = latent.Reading(words, np.where(np.arange(2000)[:, None] % 2, words, wrong), numbers, np.zeros(2000))
    half = latent.Reading(words[1::2], words[1::2], numbers[1::2], np.zeros(1000))
    assert latent.parameter_kl(mixed) == pytest.approx(latent.parameter_kl(half))
    np.testing.assert_allclose(mixed.shares(1.0), [0.5, 1, 0.5])


def test_frechet_is_its_closed_form_for_diagonal_moments(rng):
    z = rng.standard_normal((2000, 4))
    z = (z - z.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(z.T))).T
    scale = np.array([1.0, 2.0, 0.5, 3.0])
    assert latent.frechet(z, z * scale + 0.5) == pytest.approx(4 * 0.25 + np.sum((scale - 1) ** 2), rel=1e-6)


def test_nearest_is_the_naive_loop(rng):
    x, training = rng.random((5, 256)), rng.random((30, 256))
    training[3] = x[0]
    naive = [min(np.linalg.norm(row - other) for other in training) for row in x]
    np.testing.assert_allclose(latent.nearest(x, training), naive, atol=1e-6)


def test_linear_codes_of_all_components_are_the_pictures(rng):
    pictures = rng.random((40, 256)).astype(np.float32)
    for kind in ("pixels", "pca"):
        model = latent.Trained(kind, latent.linear_map(kind, pictures), None)
        mean, std = model.encode(pictures)
        assert (std == 0).all() and mean.shape == (40, 256 if kind == "pixels" else 40)
        np.testing.assert_allclose(model.decode(mean), pictures, atol=1e-4)


def test_parameters_of_other_words_lie_outside(rng):
    """Large shapes read under a prompt of small ones leave the box: the KL is large."""
    words, _ = sample(500, rng)
    other = words.copy()
    other[:, 1] = 1 - words[:, 1]
    assert latent.parameter_kl(latent.Reading(words, words, draw_parameters(other, rng), np.zeros(500))) > 2
