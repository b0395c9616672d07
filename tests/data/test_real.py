import gzip

import matplotlib
import numpy as np
import pytest

from scratch.data import real

ID = np.arange(1.0, 256 * 256 + 1).reshape(256, 256)   # a picture in which every pixel is its own number


def ids_of(patches):
    """Undo scale and dequantization: the gray levels that the patches were cut from."""
    return np.floor(patches * real.MRI_SCALE + real.MRI_CENTER + 1e-9).astype(int)


# ---- MRI ----

def test_the_slice_is_a_head_in_black_air():
    picture = real.mri_slice()
    assert picture.shape == (256, 256) and picture.dtype == np.float64
    assert picture.min() == 0 and picture.max() == 1
    assert (picture[:20] == 0).all() and (picture[:, 210:] == 0).all()       # air above and behind
    assert picture[75:125, 80:150].min() > 0.2       # brain
    assert (picture == 0).mean() == pytest.approx(37_137 / 65_536)


def test_gray_levels_are_integers_up_to_215_as_the_byte_order_says():
    levels = real.mri_slice() * 215
    assert levels == pytest.approx(np.rint(levels), abs=1e-9)
    assert len(np.unique(levels)) == 211


def test_patches_are_pieces_of_the_picture(monkeypatch, rng):
    monkeypatch.setattr(real, "_mri_levels", lambda: ID)
    for part in real.mri_patches(3, rng):
        ids = ids_of(part).reshape(-1, 3, 3)
        assert (np.diff(ids, axis=2) == 1).all() and (np.diff(ids, axis=1) == 256).all()


@pytest.mark.parametrize("size", [1, 3, 5, 16])
def test_training_and_held_out_patches_share_no_pixel(size, monkeypatch, rng):
    monkeypatch.setattr(real, "_mri_levels", lambda: ID)
    train, held_out = map(ids_of, real.mri_patches(size, rng))
    assert not np.intersect1d(train, held_out).size
    assert len(np.unique(held_out)) == held_out.size       # nor held-out ones among themselves
    per_block = 17 - size
    assert train.shape == (192 * per_block ** 2, size ** 2)
    assert held_out.shape == (64 * (16 // size) ** 2, size ** 2)


def test_a_smaller_stride_gives_more_patches_of_the_same_held_out_pixels(monkeypatch, rng):
    monkeypatch.setattr(real, "_mri_levels", lambda: ID)
    (train, apart), (same, close) = (map(ids_of, real.mri_patches(8, rng, stride=stride)) for stride in (None, 3))
    np.testing.assert_array_equal(train, same)
    assert len(apart) == 64 * 4 and len(close) == 64 * 9 and set(close.ravel()) <= set(apart.ravel())
    assert not np.intersect1d(train, close).size


def test_held_out_blocks_are_spread_evenly(monkeypatch, rng):
    monkeypatch.setattr(real, "_mri_levels", lambda: ID)
    block_row, block_column = np.divmod(np.unique(ids_of(real.mri_patches(16, rng)[1])) - 1, 256)
    quarters = np.bincount(block_row // 128 * 2 + block_column // 128)
    assert (quarters == 256 * 256 // 16).all()


def test_no_patch_touches_the_air(rng):
    for part in real.mri_patches(4, rng):
        assert ids_of(part).min() >= 1


def test_the_scale_is_about_zero_and_one(rng):
    for part in real.mri_patches(3, rng):
        assert abs(part.mean()) < 0.05 and part.std() == pytest.approx(1, abs=0.02)


def test_dequantization_adds_a_fresh_uniform_number_to_every_pixel():
    train, again = (real.mri_patches(3, np.random.default_rng(1))[0] for _ in range(2))
    np.testing.assert_array_equal(train, again)
    levels = train * real.MRI_SCALE + real.MRI_CENTER
    fraction = (levels - np.floor(levels)).ravel()
    assert fraction.mean() == pytest.approx(0.5, abs=5 * np.sqrt(1 / 12 / fraction.size))
    assert (fraction ** 2).mean() == pytest.approx(1 / 3, abs=5 * np.sqrt(4 / 45 / fraction.size))
    assert len(np.unique(fraction.round(12))) > 0.99 * fraction.size       # overlapping patches too


# ---- bad input ----

def test_a_matplotlib_without_sample_data_is_named_clearly(monkeypatch, tmp_path):
    monkeypatch.setattr(matplotlib, "get_data_path", lambda: str(tmp_path))
    with pytest.raises(FileNotFoundError, match="s1045.ima.gz is missing: .* pip install"):
        real.mri_slice()


def test_another_file_under_that_name_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(matplotlib, "get_data_path", lambda: str(tmp_path))
    (tmp_path / "sample_data").mkdir()
    (tmp_path / "sample_data" / "s1045.ima.gz").write_bytes(gzip.compress(bytes(100)))
    with pytest.raises(ValueError, match="s1045.ima.gz must hold 131072 bytes, got 100"):
        real.mri_slice()


@pytest.mark.parametrize("call, error, message", [
    (lambda rng: real.mri_patches(0, rng), ValueError, "size must be at least 1"),
    (lambda rng: real.mri_patches(17, rng), ValueError, "size must be at most 16"),
    (lambda rng: real.mri_patches(3.0, rng), TypeError, "size must be an integer"),
    (lambda rng: real.mri_patches(3, rng, stride=0), ValueError, "stride must be at least 1"),
    (lambda rng: real.mri_patches(3, 0), TypeError, "rng must be"),
])
def test_bad_requests_are_refused(call, error, message, rng):
    with pytest.raises(error, match=message):
        call(rng)
