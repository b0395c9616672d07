"""The MRI study trains each arm on what its name says, and no part sees the rows that it is tested on."""
import numpy as np
import pytest

from figures.case_studies import mri_augmentation as study
from figures.case_studies import mri_parts as mri


class Constant:
    """A law whose rows are all `value`."""

    def __init__(self, value):
        self.value = value

    def sample(self, n, rng):
        return np.full((n, 64), float(self.value))


@pytest.fixture
def trained(monkeypatch):
    """[(batches, penalty, test)] of all classifiers; samples of a generator are the number of rows it was fitted to."""
    calls = []

    def classify(budget, batches, penalty, test, rng):
        calls.append((batches, penalty, test))
        return 0.5, 0.5

    def pair(classes, *_):
        return [Constant(len(x)) for x in classes]
    monkeypatch.setattr(study.Budget, "classify", classify)
    monkeypatch.setattr(mri, "pca_pair", pair)
    return calls


def patches(n, start=0):
    """n different patches of each class."""
    return [(start + 1000 * c + np.arange(n))[:, None] + np.linspace(0, 0.5, 64) ** 2 for c in (0, 1)]


def rows_of(x):
    """The patches of rows x, whatever their turn: their sums are their names."""
    return set(x[:, :64].sum(axis=1).round(6))


def test_folds_of_the_pilots_share_no_row_in_any_turn(trained, monkeypatch, rng):
    seen = []
    monkeypatch.setattr(study, "draw_rows", lambda effort, n, rng: patches(n))
    monkeypatch.setattr(mri, "pca_pair", lambda classes: seen.append(classes) or [Constant(-1), Constant(-1)])
    study.pilot(study.Budget("quick", True), rng)
    everything, tests = rows_of(mri.labeled(*patches(10))), []
    arms = 4 + len(study.SHARES)
    for k, (batches, _, test) in enumerate(trained):
        fitted = set.union(*(rows_of(x) for x in seen[k // arms]))
        assert rows_of(batches.real) == fitted == everything - rows_of(test)
        tests.append(rows_of(test))
    assert set.union(*tests) == everything and sum(map(len, tests[::arms])) == 20 and len(seen) == study.FOLDS


def test_each_arm_trains_on_what_its_name_says(trained, monkeypatch, rng):
    monkeypatch.setattr(study, "draw_rows", lambda effort, n, rng: patches(n, start=5000))
    monkeypatch.setattr(mri, "smote", lambda x, n, rng: np.full((n, 64), 0.5 * len(x)))
    test, budget = mri.labeled(*patches(4, 9000)), study.Budget("quick", True)
    for i, n in enumerate(study.SIZES):
        trained.clear()
        study.cheap_arms(budget, i, patches(n), test, rng)
        share = study.CHOSEN["share"][i]
        expected = {"real": (0, False, 0), "flips": (0, True, 0), "hand": (0, True, 0), "smote": (share, True, 4 * n),
                    "truth": (0.5, True, None), "pca, no flips": (share, False, n), "pca .25": (0.25, True, 8 * n),
                    "pca .5": (0.5, True, 8 * n), "pca .75": (0.75, True, 8 * n), "pca alone": (1, False, 8 * n)}
        penalty = dict(zip(study.ARMS, ("real", "flips", "hand", "pca", None, "real", "pca", "pca", "pca", "alone")))
        for arm, (batches, used, tested) in zip(study.ARMS, trained, strict=True):
            assert (batches.share, batches.turned) == expected[arm][:2], arm
            assert batches.jittered == (arm == "hand") and tested is test
            np.testing.assert_array_equal(batches.real, mri.labeled(*patches(n)))
            assert used == (study.CHOSEN["flips"][-1] if arm == "truth" else study.CHOSEN[penalty[arm]][i]), arm
            if arm == "truth":
                np.testing.assert_array_equal(batches.synthetic, mri.labeled(*patches(budget.synthetic, 5000)))
            elif batches.share:
                assert (batches.synthetic[:, :-1] == expected[arm][2]).all(), arm


def test_each_generator_is_fitted_to_turned_rows_but_the_memorized_one(trained, monkeypatch, rng):
    monkeypatch.setattr(mri, "mixture_pair", mri.pca_pair)
    monkeypatch.setattr(mri, "diffusion", lambda classes, rng, steps: mri.pca_pair(classes))
    monkeypatch.setattr(mri, "vae", lambda x, rng, steps: Constant(len(x)))
    study.deep_arms(study.Budget("quick", True), 0, patches(10), None, rng)
    for arm, (batches, penalty, _) in zip(study.DEEP, trained, strict=True):
        memorized, alone = arm == "diffusion, memorized", arm.endswith("alone")
        assert (batches.synthetic[:, :-1] == (10 if memorized else 80)).all()
        assert batches.share == (1 if alone else study.CHOSEN["share"][0])
        assert batches.turned == (not memorized and not alone)
        assert penalty == study.CHOSEN["real" if memorized else "alone" if alone else "pca"][0]


def test_the_slice_is_tested_on_its_held_out_windows_and_no_window_is_in_both_classes(trained, monkeypatch, rng):
    train, held = patches(30)[0], patches(30, 9000)[1]
    monkeypatch.setattr(mri, "tissue_patches", lambda rng: (train, held))
    monkeypatch.setattr(study, "add_lesion", lambda x, rng: x)
    monkeypatch.setattr(mri, "NOISE", 0.0)
    study.slice_once(study.Budget("quick", True), rng)
    for arm, (batches, _, test) in zip(study.SLICE, trained, strict=True):
        healthy, lesion = (rows_of(batches.real[batches.real[:, -1] == c]) for c in (0, 1))
        assert len(healthy | lesion) == 20 and healthy | lesion <= rows_of(train)
        assert rows_of(test) == rows_of(held) and len(test) == 60
        changed = {"real": (0, False, False), "flips": (0, True, False), "hand": (0, True, True),
                   "pca .5": (0.5, True, False)}
        assert (batches.share, batches.turned, batches.jittered) == changed[arm]
