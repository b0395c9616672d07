import numpy as np
import pytest
from scipy.optimize import least_squares

from scratch.data import picture_reader
from scratch.data.picture_reader import read
from scratch.data.pictures import PAIRS, render, sample


@pytest.fixture(scope="module")
def true_pictures():
    return sample(400, np.random.default_rng(1))


def test_words_and_numbers_of_true_pictures_are_read(true_pictures):
    """Of 6,000 pictures one had a wrong word and five a residual above 1e-9; so 3 of 400 are 5 standard errors."""
    words, parameters = true_pictures
    read_words, read_parameters, residual = read(render(words, parameters))
    assert (read_words != words).any(axis=1).sum() <= 1
    exact = residual < 1e-9
    assert (~exact).sum() <= 3
    np.testing.assert_allclose(read_parameters[exact], parameters[exact], atol=1e-7)


def test_every_pair_is_read(rng):
    for pair in PAIRS:
        words, parameters = sample(3, rng, [pair])
        np.testing.assert_array_equal(read(render(words, parameters))[0], words)


def test_a_picture_with_noise_is_read_as_its_least_squares_fit(true_pictures, rng):
    words, parameters = (part[:30] for part in true_pictures)
    noisy = render(words, parameters) + 0.03 * rng.standard_normal((30, 256))
    read_words, read_parameters, residual = read(noisy)
    np.testing.assert_array_equal(read_words, words)
    for row, numbers, found, picture, left in zip(words, parameters, read_parameters, noisy, residual):
        best = least_squares(lambda m: render(row[None], m[None])[0] - picture, numbers)
        assert left <= np.sqrt(2 * best.cost / 256) + 2e-4
        assert left == pytest.approx(np.sqrt(np.mean((render(row[None], found[None]) - picture) ** 2)))
    assert abs(np.mean(residual ** 2) / 0.03 ** 2 - 252 / 256) < 5 * np.sqrt(2 / 256 / 30)      # 4 numbers are fitted


def test_what_is_no_rendering_is_read_with_a_residual(rng):
    empty, gray, noise = np.zeros((1, 256)), np.full((1, 256), 0.5), rng.random((1, 256))
    words, parameters, residual = read(np.concatenate([empty, gray, noise]))
    assert np.isfinite(parameters).all()
    assert residual[0] < 1e-6 and abs(parameters[0, 3]) < 1e-6
    assert parameters[1, 2] > 1                             # larger than the picture
    assert residual[2] > 0.2


def test_rows_do_not_depend_on_each_other(true_pictures):
    x = render(*(part[:12] for part in true_pictures))
    together, apart = read(x), [read(row[None]) for row in x]
    for k, part in enumerate(together[:2]):
        np.testing.assert_allclose(part, np.concatenate([one[k] for one in apart]), atol=1e-9)


def test_the_nearest_rendering_is_that_of_a_search(true_pictures):
    """(1), by a loop over all renderings of the pair and their best inks."""
    words, parameters = (part[:2] for part in true_pictures)
    grid, directions = picture_reader._renderings()
    pictures = render(words, parameters)
    pairs, numbers = picture_reader._nearest(pictures)
    for picture, pair, start in zip(pictures, pairs[:, 0], numbers[:, 0]):
        left = []
        for direction in directions.reshape(24, -1, 256)[pair].astype(float):
            a = picture @ direction / (direction @ direction)
            left.append(np.sum((picture - a * direction) ** 2))
        assert left[int(np.argmin(np.abs(grid - start).sum(axis=1)))] == pytest.approx(min(left), rel=1e-3)


def test_bad_pictures_are_refused():
    for bad, error in ((np.zeros((2, 255)), "shape"), (np.full((1, 256), np.nan), "finite"), (np.zeros((0, 256)), "row")):
        with pytest.raises(ValueError, match=error):
            read(bad)


def test_a_step_is_taken_only_if_it_fits_better(true_pictures, rng):
    """More steps never leave more, also where a picture is far from every rendering."""
    pictures = np.concatenate([rng.random((10, 256)), render(*(part[:10] for part in true_pictures))[:, ::-1]])
    pairs, numbers = picture_reader._nearest(pictures)
    left = [picture_reader._fit(pairs, numbers, pictures, steps)[1] for steps in range(8)]
    assert (np.diff(left, axis=0) <= 0).all()
