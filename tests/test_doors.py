"""Bad arguments are answered clearly, where users stand: one at a time, over MODELS and the public functions.

An answer is clear if it is a TypeError or a ValueError that a `raise` of this project made, or no error at
all (the argument was taken).  Anything from inside NumPy, and any other kind of error, is unclear.

    python tests/test_doors.py          tries everything and prints the unclear answers
"""
import inspect
import linecache
import tempfile
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from scratch import grid
from scratch.data import beyond_mixtures, discrete, distributions, gaussian_mixture, real, standardized
from scratch.divergence import (closed_form, entropy, enumeration, gaussian_projection, mode_coverage, monte_carlo,
                                nearest_neighbor, plug_in, quadrature, variational)
from scratch.family_tree import MODELS
from scratch.implicit import dirac_gan, gan, objectives, optimal_discriminator, push_forward
from scratch.implicit.diffusion import (chain, completion, editing, guidance, latent_diffusion, likelihood, processes,
                                         samplers, text)
from scratch.learning import checkpoint, early_stopping, gradient_check, optimizers
from scratch.learning.training import Diverged, Recipe, fit, train

FOLDER = tempfile.TemporaryDirectory()                      # emptied at the end
RAGGED, MASKED = [[1.0, 2.0], [3.0]], np.ma.masked_array(np.ones((5, 3)), mask=np.eye(5, 3))


class Frame:
    """A data frame, as far as this project can see: it becomes an array, and it has a method sample."""

    def __array__(self, dtype=None, copy=None):
        return np.ones((5, 3), dtype)

    def sample(self, n):
        raise AssertionError("a data frame was taken for a distribution")


BAD = [None, "a", b"a", [], {}, (), object(), RAGGED, MASKED, True, 0, -1, 1.5, 1j, np.nan, np.inf, np.float64(2.5),
       np.array("a"), np.array([]), np.array(None), np.zeros((0, 3)), np.full((5, 3), np.nan), np.zeros((5, 3), int),
       np.zeros((2, 5, 3)), np.zeros(7), [1.0, "b"], np.zeros((5, 3), bool), np.array([[object()]]), lambda: None,
       np.random, type, float, {"a": 1}, [np.zeros(3), np.zeros(2)], (np.zeros((5, 3)),), slice(3), range(3),
       np.float32(-3), np.zeros((5, 3), complex), np.array(["2020"], "M8[Y]"), {0: "a"}, Frame()]


def answer(function, arguments):
    """"taken", "clear", or the unclear error in words."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            result = function(**arguments)
            if inspect.isgenerator(result):
                next(result)
    except Diverged:
        return "clear"
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        line = linecache.getline(last.filename, last.lineno).strip()
        if isinstance(error, (TypeError, ValueError)) and "scratch" in last.filename and line.startswith("raise "):
            return "clear"
        return f"{type(error).__name__}: {str(error)[:80]} ({last.filename.split('/')[-1]}:{last.lineno})"
    return "taken"


# ---- the models ----

METHODS = ("sample", "log_prob", "elbo", "complete", "denoise", "velocity", "score", "log_posterior", "predict",
           "encode", "decode", "importance_bound", "generate", "logits", "posterior", "blocks", "split")


def model_calls(name):
    """(name, function, good arguments) for the public methods of a model."""
    entry, rng = MODELS[name], np.random.default_rng(0)
    model = entry()
    theta, rows = model.init(rng), entry.rows(model, rng, 5)
    noise, x = model.draw_noise(rng, 5), rows[:, :model.dim]
    yield "constructor", entry.model, dict(entry.sizes)
    yield "init", model.init, dict(rng=rng, dtype=np.float32)
    yield "draw_noise", model.draw_noise, dict(rng=rng, n=3)
    names = list(inspect.signature(model.loss).parameters)
    yield "loss", model.loss, dict(zip(names, (theta, rows, noise)))
    yield "fit", fit, dict(model=model, theta=theta, data=rows, rng=rng, steps=2)
    good = dict(theta=theta, x=x, rows=rows, n=3, rng=rng, noise=noise, known={0: x[0, 0]}, sigma=0.5, t=0.5,
                code=np.zeros((5, getattr(model, "latent", 1))), z=np.zeros((5, getattr(model, "latent", 1))))
    for method in METHODS:
        if callable(getattr(model, method, None)):
            function = getattr(model, method)
            needed = [p.name for p in inspect.signature(function).parameters.values()
                      if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
            if set(needed) <= set(good) and answer(function, {key: good[key] for key in needed}) == "taken":
                yield method, function, {key: good[key] for key in needed}


# ---- the public functions, with good arguments ----

def function_calls(module):
    """(name, function, good arguments) for the public functions of a module, by the tables below."""
    return [(f"{module}.{name}", function, good) for name, function, good in TABLES[module]()]


def two_samples():
    rng = np.random.default_rng(0)
    return rng.normal(size=(20, 3)), rng.normal(size=(25, 3)), rng


def normal(x):
    return -0.5 * (x * x).sum(axis=1) - x.shape[1] * 0.5 * np.log(2 * np.pi)


def laws():
    rng = np.random.default_rng(0)
    for name in ("ring", "grid", "moons", "spirals", "pinwheel", "checkerboard", "banana", "funnel"):
        make = getattr(distributions, name)
        yield name, make, {p.name: p.default for p in inspect.signature(make).parameters.values()}
    x = rng.normal(size=(5, 2))
    mixture = gaussian_mixture.GaussianMixture([[0.0, 1], [1, 0]], [np.eye(2)] * 2, [0.5, 0.5])
    yield "GaussianMixture", gaussian_mixture.GaussianMixture, dict(
        means=mixture.means, covariances=mixture.covariances, weights=mixture.weights)
    for law in (mixture, beyond_mixtures.WarpedGaussian(1.0, 0.5, 0.3, 0.1), beyond_mixtures.Checkerboard(4, 1.5)):
        yield f"{type(law).__name__}.sample", law.sample, dict(n=3, rng=rng)
        yield f"{type(law).__name__}.log_prob", law.log_prob, dict(x=x)
        yield f"{type(law).__name__}.score", law.score, dict(x=x * 0 + 0.1)
    yield "posterior", mixture.posterior, dict(x=x)
    yield "noised", mixture.noised, dict(sigma=0.5)
    yield "denoise", mixture.denoise, dict(x=x, sigma=0.5)
    yield "marginal", mixture.marginal, dict(axes=[0])
    yield "conditional", mixture.conditional, dict(axes=[0], values=[0.5])
    yield "WarpedGaussian", beyond_mixtures.WarpedGaussian, dict(std=1.0, curvature=0.5, noise=0.3, slope=0.1)
    yield "Checkerboard", beyond_mixtures.Checkerboard, dict(side=4, width=1.5)
    yield "Brackets", discrete.Brackets, dict(length=4, kinds=2)
    yield "GrayCoded", discrete.GrayCoded, dict(law=mixture)
    for law in (discrete.Brackets(4), discrete.SpinGlass(), discrete.GrayCoded(mixture)):
        yield f"{type(law).__name__}.sample", law.sample, dict(n=3, rng=rng)
        yield f"{type(law).__name__}.log_prob", law.log_prob, {
            next(iter(inspect.signature(law.log_prob).parameters)): law.sample(3, rng)}
    yield "encode", discrete.encode, dict(x=x)
    yield "decode", discrete.decode, dict(bits=discrete.encode(x))
    yield "mri_patches", real.mri_patches, dict(size=3, rng=rng)
    yield "midpoints", grid.midpoints, dict(bounds=[(0, 1)], n=3)


def own_units():
    rng = np.random.default_rng(0)
    model, rows = MODELS["Diffusion"](), rng.normal(size=(20, 3)) * (1, 10, 100)
    yield "standardize", standardized.standardize, dict(model=model, rows=rows, whiten=False)
    yield "Standardized", standardized.Standardized, dict(model=model, shift=(0, 1, 2), scale=(1, 2, 3))
    worn = standardized.standardize(model, rows)
    theta = worn.init(rng)
    yield "Standardized.sample", worn.sample, dict(theta=theta, n=2, rng=rng)
    if hasattr(model, "in_nats"):
        yield "Standardized.loss", worn.loss, dict(theta=theta, x=rows, noise=worn.draw_noise(rng, 20))
    yield "Standardized.complete", worn.complete, dict(theta=theta, known={0: 0.5}, n=2, rng=rng)


def divergences():
    x, y, rng = two_samples()
    bounds = [(-5, 5), (-5, 5)]
    yield "kl_gaussians", closed_form.kl_gaussians, dict(mean_p=[0, 0], cov_p=np.eye(2), mean_q=[1, 0], cov_q=np.eye(2))
    yield "kl_categoricals", closed_form.kl_categoricals, dict(p=[0.5, 0.5], q=[0.4, 0.6])
    yield "kl_cross_entropy", entropy.kl_cross_entropy, dict(x=x, log_q=normal, k=5)
    yield "all_states", enumeration.all_states, dict(dim=2, values=[0, 1])
    yield "kl_enumeration", enumeration.kl_enumeration, dict(log_p=normal, log_q=normal, states=x)
    yield "mode_coverage", mode_coverage.mode_coverage, dict(samples=x, means=y[:3], std=0.5)
    yield "kl_monte_carlo", monte_carlo.kl_monte_carlo, dict(log_p=normal, log_q=normal, x=x, estimator=monte_carlo.k1)
    yield "kl_nearest_neighbor", nearest_neighbor.kl_nearest_neighbor, dict(x=x, y=y, k=5)
    yield "kl_adaptive_neighbors", nearest_neighbor.kl_adaptive_neighbors, dict(x=x, y=y)
    yield "kl_kernel_density", plug_in.kl_kernel_density, dict(x=x, y=y)
    yield "kl_binned", plug_in.kl_binned, dict(x=x, y=y)
    yield "kl_quadrature", quadrature.kl_quadrature, dict(log_p=normal, log_q=normal, bounds=bounds, n=9)
    for name in ("kl_classifier", "kl_donsker_varadhan", "kl_nwj"):
        yield name, getattr(variational, name), dict(x=x, y=y, rng=rng, hidden=(4,), steps=2)
    yield "train_log_ratio", variational.train_log_ratio, dict(
        x=x, y=y, rng=rng, objective=variational.logistic, hidden=(4,), steps=2)
    yield "LogRatio", variational.LogRatio, dict(dim=3, bound=2.0, decay=0.1, hidden=(4,), objective=variational.logistic)
    model = variational.LogRatio(3, bound=2.0, decay=0.1, hidden=(4,))
    theta = model.init(rng)
    yield "LogRatio.loss", model.loss, dict(theta=theta, rows=np.column_stack([x, np.arange(20.0) % 2]), noise=None)
    yield "LogRatio.log_ratio", model.log_ratio, dict(theta=theta, x=x)
    law = gaussian_mixture.GaussianMixture(np.zeros((1, 3)), [np.eye(3)], [1.0])
    yield "ReverseFit", gaussian_projection.ReverseFit, dict(dim=3, law=law)
    for fitted in (gaussian_projection.ForwardFit(3), gaussian_projection.ReverseFit(3, law=law)):
        theta, name = fitted.start(np.zeros(3), 1.0), type(fitted).__name__
        yield f"{name}.start", fitted.start, dict(mean=np.zeros(3), std=1.0)
        yield f"{name}.unpack", fitted.unpack, dict(theta=theta)
        yield f"{name}.loss", fitted.loss, dict(theta=theta, x=x, noise=y)
        yield f"{name}.draw_noise", fitted.draw_noise, dict(rng=rng, n=3)


def square(x):
    return np.sum(x * x)


def learning():
    x, y, rng = two_samples()
    model = MODELS["Diffusion"]()
    theta = model.init(rng)
    for name, derivative in (("complex_step", gradient_check.complex_step),
                             ("central_difference", gradient_check.central_difference)):
        yield name, derivative, dict(f=square, x=x[0], v=x[1])
    yield "central_difference", gradient_check.central_difference, dict(f=square, x=x[0], v=x[1], h=1e-5)
    yield "gradient", gradient_check.gradient, dict(f=square, x=x[0], derivative=gradient_check.complex_step)
    yield "gradient_errors", gradient_check.gradient_errors, dict(f=square, x=x[0], dx=2 * x[0])
    yield "gradient_error", gradient_check.gradient_error, dict(f=square, x=x[0], dx=2 * x[0])
    yield "directional_error", gradient_check.directional_error, dict(f=square, x=x[0], dx=2 * x[0], rng=rng)
    yield "pullback_errors", gradient_check.pullback_errors, dict(
        kernel=lambda a: (a * a, lambda dy: 2 * a * dy), inputs=[x[0]], rng=rng)
    yield "SGD", optimizers.SGD, dict(learning_rate=0.1)
    yield "Adam", optimizers.Adam, dict(learning_rate=0.1, beta1=0.9, beta2=0.99, epsilon=1e-8)
    for schedule in (optimizers.cosine, optimizers.warmed_up_cosine):
        yield schedule.__name__, schedule, dict(done=0.5)
    yield "Recipe", Recipe, dict(optimizer=optimizers.SGD(0.1), schedule=optimizers.cosine, batch_size=5, anneal=None)
    state = next(train(model, theta, x, rng, steps=2))
    yield "train", train, dict(model=model, theta=theta, data=x, rng=rng, steps=2, recipe=None, resume=None)
    path = Path(FOLDER.name) / "run.npz"
    yield "save", checkpoint.save, dict(path=path, state=state)
    yield "load", checkpoint.load, dict(path=path)
    yield "fit", fit, dict(model=model, theta=theta, data=x, rng=rng, steps=2, recipe=None,
                           progress=False, checkpoint=None, every=1)
    yield "stop_early", early_stopping.stop_early, dict(model=model, theta=theta, rows=x, held_out=y, rng=rng, steps=2,
                                                        every=1, patience=1, recipe=None)


def games():
    x, y, rng = two_samples()
    x, y = x[:, :2], y[:, :2]
    yield "GAN", gan.GAN, dict(dim=2, latent=2, prior=2, output_noise=0.1, hidden=(3,), objective=objectives.relativistic, gamma=0.1,
                               penalty=objectives.zero_centered, frequencies=(1.0,), latent_frequencies=(1.0,))
    model = gan.GAN(2, hidden=(3,), frequencies=(), latent_frequencies=())
    yield "GAN.rates", model.rates, dict(generator=0.1, discriminator=0.1)
    yield "Penalty", objectives.Penalty, dict(function=square, at="mixtures", last=1.0)
    yield "LinearGAN.optimum", MODELS["LinearGAN"]().optimum, dict(mean=np.zeros(3), covariance=np.eye(3))
    game = dirac_gan.DiracGAN(objectives.relativistic, r1=0.1)
    yield "DiracGAN", dirac_gan.DiracGAN, dict(objective=objectives.wasserstein, r1=0.1, r2=0.1, gradient_penalty=0.1)
    yield "DiracGAN.field", game.field, dict(state=(0.1, 0.2))
    yield "DiracGAN.rate", game.rate, dict(h=0.1, update=game.simultaneous)
    yield "DiracGAN.simulate", game.simulate, dict(start=(0.1, 0.2), h=0.1, steps=3, alternating=False)
    yield "measured_rate", dirac_gan.measured_rate, dict(path=game.simulate((0.1, 0.2), 0.1, 5))
    bounds = [(-3, 3), (-3, 3)]
    yield "cell_masses", optimal_discriminator.cell_masses, dict(log_p=normal, log_q=normal, bounds=bounds, n=5)
    yield "log_ratio", lambda log_p, log_q, x: optimal_discriminator.log_ratio(log_p, log_q)(x), dict(
        log_p=normal, log_q=normal, x=x)
    cells = dict(logits=np.zeros(4), p=np.full(4, 0.25), q=np.full(4, 0.25))
    for name in ("discriminator_loss", "relativistic_loss", "js_lower_bound"):
        yield name, getattr(optimal_discriminator, name), cells
    mesh = push_forward.PushForward(*(np.array(a) for a in ([[0.0, 0], [1, 0], [0, 1]], [[0.0, 0], [2, 0], [0, 2]],
                                                            [[0, 1, 2]])))
    yield "PushForward.log_prob", mesh.log_prob, dict(x=x)
    yield "PushForward.generate", mesh.generate, dict(z=np.full((2, 2), 0.2))


def diffusion():
    x, _, rng = two_samples()
    x, law, sigmas = x[:5, :2], distributions.LAWS["ring"], np.array([10.0, 1.0, 0.1, 0.0])
    jvp = likelihood.mixture_jvp(law)
    steps = dict(denoise=law.denoise, x=x, sigmas=sigmas)
    for schedule in (chain.linear, chain.cosine):
        yield f"chain.{schedule.__name__}", schedule, dict(u=0.5)
    yield "chain.Chain", chain.Chain, dict(steps=5, schedule=chain.cosine)
    yield "replacement", completion.replacement, dict(**steps, known={0: 0.5}, rng=rng)
    yield "repaint", completion.repaint, dict(**steps, known={0: 0.5}, rng=rng, turns=2)
    yield "reconstruction_guidance", completion.reconstruction_guidance, dict(denoise_jvp=jvp, known={0: 0.5}, least=0.1)
    yield "exact_guidance", completion.exact_guidance, dict(law=law, known={0: 0.5})
    pair = (law.denoise, law.denoise)
    for guide, names in ((guidance.classifier_guidance, ("unconditional", "class_gradient")),
                         (guidance.classifier_free_guidance, ("conditional", "unconditional")),
                         (guidance.autoguidance, ("good", "bad"))):
        yield guide.__name__, guide, dict(zip(names, pair), scale=1.5)
    yield "tilted", guidance.tilted, dict(log_p=law.log_prob, log_p_of_class=normal, bounds=law.bounds(), scale=1.5, n=20)
    yield "image_to_image", editing.image_to_image, dict(denoise=law.denoise, z=x, sigma=1.0, rng=rng, lowest=0.1, steps=2)
    yield "with_known_pixels", editing.with_known_pixels, dict(
        denoise=law.denoise, decode_jvp=law.denoise, y=x[:, :1], known=[0], std=0.1, scale=1.0)
    yield "tokenize", text.tokenize, dict(prompts=["soft moon"], vocabulary=("soft", "moon"), length=3)
    yield "TextEncoder", text.TextEncoder, dict(words=3, width=4, length=3, attention=True)
    encoder = text.TextEncoder(3, width=4, length=3)
    yield "TextEncoder()", encoder, dict(theta=encoder.init(rng), tokens=np.ones((2, 3)))
    yield "latent_std", latent_diffusion.latent_std, dict(rows=np.ones((4, 6)), dim=2)
    yield "mixture_jvp", likelihood.mixture_jvp, dict(law=law)
    levels = dict(sigma_min=0.01, sigma_max=10.0)
    yield "log_prob", likelihood.log_prob, dict(denoise_jvp=jvp, x=x, **levels, scale=1.0, steps=2)
    yield "score_gap", likelihood.score_gap, dict(denoise=law.denoise, exact=law.denoise, x=x, rng=rng, **levels, levels=3)
    yield "VP", processes.VP, dict(beta_min=0.1, beta_max=20.0)
    yield "karras_sigmas", samplers.karras_sigmas, dict(n=5, **levels, rho=7.0)
    for sampler, more in ((samplers.euler, {}), (samplers.heun, {}), (samplers.dpm_solver_2m, {}),
                          (samplers.ddim, dict(eta=0.5, rng=rng)), (samplers.euler_maruyama, dict(rng=rng)),
                          (samplers.predictor_corrector, dict(rng=rng, ratio=0.16))):
        yield sampler.__name__, sampler, dict(**steps, **more)


TABLES = dict(data=laws, standardized=own_units, divergence=divergences, learning=learning, implicit=games,
              diffusion=diffusion)


def unclear(calls, values):
    """(number of tries, the unclear ones in words)."""
    tries, found = 0, []
    for name, function, good in calls:
        assert answer(function, good) == "taken", f"{name}: the good arguments are not taken: {answer(function, good)}"
        for argument in good:
            for bad in values:
                if bad is None and good[argument] is None:
                    continue
                tries += 1
                said = answer(function, {**good, argument: bad})
                if said not in ("taken", "clear"):
                    found.append(f"{name}({argument}={str(bad)[:30]!r}): {said}")
    return tries, found


# By default a fifth of the bad values; all of them in the slow run.
SAMPLES = [pytest.param(BAD[::5], id="some"), pytest.param(BAD, id="all", marks=pytest.mark.slow)]


@pytest.mark.parametrize("values", SAMPLES)
@pytest.mark.parametrize("name", MODELS)
def test_bad_arguments_of_a_model_are_answered_clearly(name, values):
    tries, found = unclear(model_calls(name), values)
    assert len(found) <= 0.01 * tries, "\n".join(found)


@pytest.mark.parametrize("values", SAMPLES)
@pytest.mark.parametrize("module", TABLES)
def test_bad_arguments_of_the_functions_are_answered_clearly(module, values):
    tries, found = unclear(function_calls(module), values)
    assert len(found) <= 0.01 * tries, "\n".join(found)


@pytest.mark.parametrize("name", [*MODELS, *TABLES])
def test_good_arguments_raise_no_warning(name):
    for call, function, good in model_calls(name) if name in MODELS else function_calls(name):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", "column . of data has mean")      # five rows have any scale
            function(**good)


def main():
    total, everything = Counter(), []
    for name, calls in [(name, model_calls(name)) for name in MODELS] + [(name, function_calls(name)) for name in TABLES]:
        tries, found = unclear(calls, BAD)
        total += Counter(tries=tries, unclear=len(found))
        everything += [f"{name}.{line}" if name in MODELS else line for line in found]
        print(f"{name:24} {tries:6} tries, {len(found):4} unclear")
    print(dict(total))
    print("\n".join(everything))


if __name__ == "__main__":
    main()
