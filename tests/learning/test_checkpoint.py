"""A run that is stopped, saved and resumed ends with the bits of one that was not.

The cuts lie everywhere in a run of 7 steps, which takes batches of 4 from 10 rows: before the first step,
in an epoch, in a batch across two epochs (step 3), at the end of an epoch (step 5), before the last step,
and after it.
"""
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable

import numpy as np
import pytest

from scratch.data.distributions import LAWS
from scratch.data.standardized import standardize
from scratch.explicit.autoregressive import AutoregressiveMixture
from scratch.family_tree import MODELS, reals
from scratch.implicit.gan import GAN
from scratch.learning import checkpoint
from scratch.learning.checkpoint import Run, State, load, save, words
from scratch.learning.optimizers import SGD, Adam, constant, cosine
from scratch.learning.training import Diverged, Recipe, fit, train

ROOT = Path(__file__).parent.parent.parent
STEPS = 7
STANDARDIZED = ["Standardized " + name for name, entry in MODELS.items()
                if entry.rows is reals and entry.branch != "discriminative models"]


@dataclass(frozen=True)
class Draws:
    """The rows of a model as a law."""
    model: object
    rows: Callable

    def sample(self, n, rng):
        return self.rows(self.model, rng, n)


def arguments(name, kind):
    """The arguments of train for a model of the tree, with rows or a law; the same at every call."""
    entry, rng = MODELS[name.split()[-1]], np.random.default_rng(7)
    model = entry()
    rows, theta, law = entry.rows(model, rng, 10), model.init(rng), Draws(model, entry.rows)
    if name in STANDARDIZED:
        model = standardize(model, rows)
    return dict(model=model, theta=theta, data=rows if kind == "rows" else law, rng=rng, steps=STEPS,
                recipe=replace(model.recipe, batch_size=4))


def elsewhere(arguments):
    """The same arguments in another place: theta and the generator, which a State replaces."""
    return arguments | dict(theta=arguments["theta"] + 1, rng=np.random.default_rng(99))


def states_of(name, kind):
    """The states of the whole run, with that before the first step."""
    given = arguments(name, kind)
    theta, random = given["theta"], given["rng"].bit_generator.state
    states = list(train(**given))
    return [State(0, np.nan, theta, theta, given["recipe"].optimizer.start(theta), np.arange(0), random, states[0].run),
            *states]


def bits(state):
    """All that a State holds, as bytes and text."""
    arrays = [np.asarray(part).tobytes() for part in (state.loss, state.theta, state.average, state.waiting, *state.memory)]
    return state.step, arrays, json.dumps(state.random, default=np.ndarray.tolist), state.run


def assert_same(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second):
        assert bits(a) == bits(b), f"step {a.step}"
        assert a.theta.dtype == b.theta.dtype and [type(x) for x in a.memory] == [type(x) for x in b.memory]


# ---- the same bits ----

@pytest.mark.parametrize("name, kind", [(name, "rows") for name in [*MODELS, *STANDARDIZED]]
                         + [(name, "law") for name in MODELS])
def test_a_resumed_run_ends_with_the_same_bits(name, kind, tmp_path):
    """From a file at every step; for a law from the value itself."""
    states = states_of(name, kind)
    for k, state in enumerate(states):
        if kind == "rows":
            save(tmp_path / "run.npz", state)
            state = load(tmp_path / "run.npz")
            assert_same([states[k]], [state])
        assert_same(states[k + 1:], list(train(**elsewhere(arguments(name, kind)), resume=state)))


@pytest.mark.parametrize("name", ["GAN", "MADE"])
def test_a_run_may_be_interrupted_at_every_step(name, tmp_path):
    path = tmp_path / "run.npz"
    first, *_, last = states_of(name, "rows")
    save(path, first)
    for _ in range(STEPS):
        save(path, next(train(**elsewhere(arguments(name, "rows")), resume=load(path))))
    assert_same([last], [load(path)])


@pytest.mark.slow
def test_a_new_process_goes_on_with_the_same_bits(tmp_path):
    ends = {}
    for i, name in enumerate(MODELS):
        states = states_of(name, "rows")
        save(tmp_path / f"{name}.npz", states[i % STEPS])
        ends[name] = states[-1]
    with run_in_a_new_process("finish", tmp_path) as process:
        assert process.wait() == 0
    for name in MODELS:
        assert_same([ends[name]], [load(tmp_path / f"{name}.npz")])


def finish(folder):
    """Train the runs in this folder to their ends: for the test above, in its own process."""
    for name in MODELS:
        path = Path(folder) / f"{name}.npz"
        *_, last = train(**elsewhere(arguments(name, "rows")), resume=load(path))
        save(path, last)


def run_in_a_new_process(function, *words):
    code = f"from tests.learning.test_checkpoint import {function}; {function}(*{[str(word) for word in words]})"
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)


@pytest.mark.parametrize("recipe", [Recipe(SGD(0.1), constant, batch_size=4),
                                    Recipe(Adam((0.1, 0.2) * 21), batch_size=4)])
@pytest.mark.parametrize("Bits", [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox,
                                  np.random.SFC64])
def test_every_generator_and_optimizer_is_resumed(recipe, Bits, tmp_path):
    def run(**resume):
        return list(train(model, model.init(rng := np.random.Generator(Bits(3))), rows, rng, steps=5, recipe=recipe,
                          **resume))
    model, rows = AutoregressiveMixture(2, components=2, hidden=(2,)), np.random.default_rng(1).normal(size=(10, 2))
    states = run()
    save(tmp_path / "run.npz", states[1])
    assert_same(states[2:], run(resume=load(tmp_path / "run.npz")))


# ---- without a piece of the state the bits differ ----

@pytest.mark.parametrize("piece", ["step", "theta", "average", "memory", "waiting", "random"])
def test_every_piece_of_the_state_is_needed(piece):
    """The piece of another step in place of the right one, and the run ends elsewhere."""
    states = list(train(**arguments("GAN", "rows")))
    wrong = states[2]._replace(**{piece: getattr(states[0], piece)})
    *_, last = train(**elsewhere(arguments("GAN", "rows")), resume=wrong)
    assert np.abs(last.average - states[-1].average).max() > 1e-6
    if piece == "random":
        assert np.abs(last.loss - states[-1].loss).max() > 1e-6


def test_an_observer_draws_from_a_spawned_generator():
    """Drawn from rng, its numbers change the run; from a generator of its own they do not."""
    def run(observe):
        given = arguments("GAN", "law")
        observer = given["rng"].spawn(1)[0]
        for state in train(**given):
            observe(observer, given["rng"])
        return state
    untouched = run(lambda observer, rng: None)
    assert_same([untouched], [run(lambda observer, rng: observer.random(3))])
    assert (run(lambda observer, rng: rng.random(3)).theta != untouched.theta).any()


def test_the_generator_is_restored_last():
    """What draws from rng between the call of train and its first step changes nothing."""
    states, given = states_of("GAN", "law"), elsewhere(arguments("GAN", "law"))
    run = train(**given, resume=states[2])
    given["rng"].random(5)
    assert_same(states[3:], list(run))


# ---- fit, and kill -9 ----

def test_fit_saves_at_the_steps_it_says_and_at_the_end(tmp_path, monkeypatch):
    given, seen = arguments("VAE", "rows") | dict(checkpoint=tmp_path / "run.npz", every=3), []
    monkeypatch.setattr("scratch.learning.training.save", lambda path, state: (seen.append(state.step), save(path, state)))
    theta = fit(**given)
    assert seen == [3, 6, 7]
    np.testing.assert_array_equal(theta, fit(**arguments("VAE", "rows")))
    assert os.listdir(tmp_path) == ["run.npz"]
    given = arguments("VAE", "rows") | dict(checkpoint=tmp_path / "run.npz", every=3)
    np.testing.assert_array_equal(fit(**given), theta)      # read, not computed
    assert seen == [3, 6, 7]


@pytest.mark.parametrize("kind", ["rows", "law"])
def test_fit_goes_on_where_an_error_stopped_it(kind, tmp_path, monkeypatch):
    def stop(path, state):
        save(path, state)
        if state.step == 4:
            raise KeyboardInterrupt
    given = dict(checkpoint=tmp_path / "run.npz", every=2)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("scratch.learning.training.save", stop)
        fit(**arguments("GAN", kind), **given)
    assert load(tmp_path / "run.npz").step == 4
    np.testing.assert_array_equal(fit(**arguments("GAN", kind), **given), fit(**arguments("GAN", kind)))


@dataclass(frozen=True)
class Counted:
    """A law that writes one byte to standard output for each batch: the count outlives a killed process."""
    law: object

    def sample(self, n, rng):
        os.write(1, b".")
        return self.law.sample(n, rng)


def long_run(path, steps, every):
    """A GAN on a law, saved: for the tests below, in its own process."""
    model, rng = GAN(2, hidden=(8,), frequencies=(1.0,)), np.random.default_rng(5)
    return fit(model, model.init(rng), Counted(LAWS["ring"]), rng, steps=int(steps), checkpoint=Path(path),
               every=int(every))


def killed(path, steps, every, batches, after):
    """Start long_run, kill -9 it `after` so many batches and seconds: the steps that were done, None if all."""
    before = load(path).step if path.exists() else 0
    with run_in_a_new_process("long_run", path, steps, every) as process:
        seen = process.stdout.read(batches)
        time.sleep(after)
        os.kill(process.pid, signal.SIGKILL)
        seen += process.stdout.read()
        return before + len(seen) - 1 if process.wait() == -signal.SIGKILL else None


def kill_and_resume(path, steps, every, moments):
    """Kill the run at these moments, one after the other, then let it end; the number of times that it was killed."""
    kills = 0
    for batches, after in moments:
        done = killed(path, steps, every, batches, after)
        if done is None:                                    # it came to its end first: begin again
            path.unlink()
        else:
            kills += 1
            assert done - (load(path).step if path.exists() else 0) < every
    theta = long_run(path, steps, every)
    path.unlink()
    np.testing.assert_array_equal(theta, long_run(path, steps, every))
    return kills


def test_a_run_that_is_killed_goes_on(tmp_path, capfd):
    kill_and_resume(tmp_path / "run.npz", steps=1000, every=50, moments=[(130, 0)])


@pytest.mark.slow
def test_kill_9_at_50_random_moments_loses_at_most_the_steps_since_the_last_save(tmp_path, capfd):
    """In training and in saving, which takes most of the time: every third step is saved."""
    moments = [(1, after) for after in np.random.default_rng(1).uniform(0, 0.3, size=60)]
    kills = kill_and_resume(tmp_path / "run.npz", steps=5000, every=3, moments=moments)
    assert kills >= 50, kills


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    first, second, *_ = train(**arguments("VAE", "rows"))
    save(tmp_path / "run.npz", first)
    monkeypatch.setattr(checkpoint.os, "fsync", lambda file: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save(tmp_path / "run.npz", second)
    assert_same([first], [load(tmp_path / "run.npz")])


# ---- what is refused ----

@pytest.fixture
def run(tmp_path):
    """The path of a saved State, and the State."""
    state = next(train(**arguments("VAE", "rows")))
    save(tmp_path / "run.npz", state)
    return tmp_path / "run.npz", state


@pytest.mark.parametrize("change, says", [
    (lambda given: dict(steps=8), "steps = 7 there and 8 here"),
    (lambda given: dict(model=replace(given["model"], hidden=(7, 5))), "model = VAE.*hidden=.6, 5.* there and VAE"),
    (lambda given: dict(recipe=replace(given["recipe"], batch_size=5)), "recipe = .*batch_size=4.* there and .*=5"),
    (lambda given: dict(recipe=replace(given["recipe"], schedule=constant)), "recipe = .* there and .*constant"),
    (lambda given: dict(data=np.nextafter(given["data"], 9, dtype="f4")), "data = float32 .10, 3. .* there and float32"),
    (lambda given: dict(data=Draws(given["model"], reals)), "data = float32 .* there and Draws.*reals.* here"),
    (lambda given: dict(rng=np.random.Generator(np.random.SFC64(1))), "generator = PCG64 there and SFC64 here"),
])
def test_another_run_is_refused(change, says, run):
    given = elsewhere(arguments("VAE", "rows"))
    with pytest.raises(ValueError, match="resume must be a State of this run, but " + says):
        train(**given | change(given), resume=run[1])       # at the call, not at the first step


def test_another_precision_is_refused():
    given = elsewhere(arguments("VAE", "law"))
    with pytest.raises(ValueError, match="parameters = .* of float32 there and .* of float64 here"):
        train(**given | dict(theta=given["theta"].astype(float)), resume=states_of("VAE", "law")[1])


def test_fit_refuses_a_file_of_the_same_run_from_another_seed(run):
    for given in (dict(rng=np.random.default_rng(8)), dict(theta=arguments("VAE", "rows")["theta"] + 1)):
        with pytest.raises(ValueError, match="holds a run from another theta or another state of rng"):
            fit(**arguments("VAE", "rows") | given, checkpoint=run[0])


@pytest.mark.parametrize("change, error, says", [
    (dict(checkpoint="run"), ValueError, "checkpoint must end in .npz"),
    (dict(checkpoint="nowhere/run.npz"), ValueError, "a folder that exists"),
    (dict(checkpoint=3), TypeError, "checkpoint must be the name of a file"),
    (dict(checkpoint="new.npz", every=0), ValueError, "every must be at least 1"),
    (dict(checkpoint="new.npz", rng=3), TypeError, "rng must be"),
])
def test_fit_refuses_a_bad_checkpoint_before_the_first_step(change, error, says):
    with pytest.raises(error, match=says):
        fit(**arguments("VAE", "rows") | change)


def test_what_is_no_state_is_refused(tmp_path):
    with pytest.raises(TypeError, match="resume must be a State of train, such as load"):
        train(**arguments("VAE", "rows"), resume="run.npz")
    with pytest.raises(TypeError, match="state must be a State of train"):
        save(tmp_path / "run.npz", np.zeros(3))


@pytest.mark.parametrize("memory", [(np.array([None]),), (np.float32(1),), ({},), (None,), None])
def test_a_memory_that_a_file_cannot_hold_is_refused(memory, run):
    with pytest.raises(TypeError, match="memory must be a tuple of arrays and Python numbers"):
        save(run[0], run[1]._replace(memory=memory))


def test_a_truncated_file_is_refused_at_every_length(run):
    path, content = run[0], run[0].read_bytes()
    for n in [*range(0, len(content), 197), len(content) - 1]:
        path.write_bytes(content[:n])
        with pytest.raises(ValueError, match=r"run.npz is no whole file of scratch.learning.checkpoint.save$"):
            load(path)


def test_a_byte_that_changed_is_seen_or_harmless(run, rng):
    path, content = run[0], run[0].read_bytes()
    refused = 0
    for place in rng.integers(len(content), size=60):
        damaged = bytearray(content)
        damaged[place] ^= 1 + int(rng.integers(255))
        path.write_bytes(damaged)
        try:
            assert_same([run[1]], [load(path)])
        except ValueError as error:
            assert "is no whole file" in str(error)
            refused += 1
    assert refused > 30


class Bomb:
    """Unpickled, it leaves a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_foreign_files_are_refused(run):
    bomb = run[0].with_name("bomb")

    def foreign(file, kind):
        if kind == "text":
            file.write(b"step 3")
        elif kind == "one array":
            np.save(file, np.zeros(3))
        elif kind == "pickle":
            np.savez(file, header=np.array([Bomb(bomb)]))
        else:
            np.savez(file, theta=np.zeros(3))
    for kind in ("text", "one array", "pickle", "other arrays"):
        with open(run[0], "wb") as file:
            foreign(file, kind)
        with pytest.raises(ValueError, match="is no whole file of"):
            load(run[0])
    assert not bomb.exists()


def with_header(path, change):
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(arrays["header"].item())
    change(header)
    np.savez(path, **arrays | dict(header=json.dumps(header)))


def test_a_newer_file_is_refused(run):
    with_header(run[0], lambda header: header.update(checkpoint=checkpoint.VERSION + 1, run="of another form"))
    with pytest.raises(ValueError, match="was saved by a newer version of scratch"):
        load(run[0])


@pytest.mark.parametrize("name", ["NumPy", "BLAS", "threads", "SIMD"])
def test_another_arithmetic_is_warned_about(name, run):
    with_header(run[0], lambda header: header["arithmetic"].update({name: "1.26"}))
    with pytest.warns(UserWarning, match=f"saved with {name} 1.26, here is {name} "):
        assert_same([run[1]], [load(run[0])])


def test_the_arithmetic_is_known(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    here = checkpoint.arithmetic()
    assert here["NumPy"] == np.__version__ and here["threads"] == "3" and "None" not in here["BLAS"] + here["SIMD"]


# ---- words ----

def test_words_tell_apart_what_differs_and_hold_no_addresses():
    models = [entry() for entry in MODELS.values()]
    said = [words(model) for model in models] + [words(model.recipe) for model in models] + [words(law) for law in LAWS.values()]
    assert all(" at 0x" not in text for text in said)
    assert len({words(model) for model in models}) == len(models) and len({*map(words, LAWS.values())}) == len(LAWS)
    assert words(LAWS["ring"]) == words(replace(LAWS["ring"]))
    assert words(GAN(2)) != words(GAN(2, gamma=1.0)) and words(cosine) == "cosine"
    assert words((1, 1.5, None, "a", np.float32(2))) == "(1, 1.5, None, 'a', np.float32(2.0))"


def test_the_state_of_a_run_that_diverged_can_be_saved(tmp_path):
    @dataclass(frozen=True)
    class Broken:
        recipe = Recipe()

        def draw_noise(self, rng, n):
            return None

        def loss(self, theta, x, noise):
            return np.nan, theta
    with pytest.raises(Diverged) as caught:
        fit(Broken(), np.zeros(2), np.ones((3, 2)), np.random.default_rng(0), steps=2)
    save(tmp_path / "run.npz", caught.value.state)
    assert load(tmp_path / "run.npz").step == 0
