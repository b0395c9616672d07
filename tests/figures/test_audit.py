"""The verdicts of the audit: each hypothesis is judged by its figure's results, and other results change it."""
import numpy as np
import pytest

from figures import audit, runner


def test_a_verdict_is_that_of_all_parts_of_a_hypothesis():
    assert [audit.VERDICTS[audit.verdict(parts)] for parts in ([True], [True, True], [True, False], [False, False])] == [
        "supported", "supported", "partly", "not supported"]


def judged(name, **changes):
    """The verdict of the sentence with this judge, from stored results with some arrays changed."""
    sentence = next(sentence for sentence in audit.SENTENCES if sentence.judge.__name__ == name)
    results = runner.stored(sentence.figure)[0]
    results |= {key: change(results[key]) for key, change in changes.items()}
    return audit.VERDICTS[audit.verdict(sentence.judge(results)[0])]


@pytest.mark.parametrize("name, stored, changes, others", [
    ("new_samples", "partly", dict(roads=lambda v: v + 1), "not supported"),
    ("new_samples", "partly", dict(roads=lambda v: 0 * v), "supported"),
    ("copies", "partly", dict(copies=lambda v: 0 * v), "supported"),
    ("copies", "partly", dict(copies=lambda v: 0 * v + 0.5), "not supported"),
    ("density", "not supported", dict(mass=lambda v: v + 0.1), "supported"),
    ("codes", "partly", dict(reconstruction=lambda v: np.nan_to_num(v)), "supported"),
    ("implicit", "not supported", dict(kl=lambda v: v * np.nan), "supported"),
    ("boundary", "supported", dict(excess=lambda v: v + 1), "not supported"),
    ("stylized", "partly", {"held shares": lambda v: 0 * v + 1}, "supported"),
    ("stylized", "partly", {"seen shares": lambda v: 0 * v}, "not supported"),
    ("speech", "partly", {"plain shares": lambda v: 0 * v + 0.1}, "partly"),
    ("speech", "partly", {"plain shares": lambda v: 0 * v + 0.1, "plain periodicity": lambda v: 0 * v + 1}, "supported"),
    ("sounds", "not supported", dict(nats=lambda v: v * np.array([1, 1, 1, 1, 0])[:, None]), "partly"),
    ("completed", "partly", dict(exact=lambda v: 0 * v), "supported"),
    ("theory", "supported", dict(kls=lambda v: v * [10, 1]), "not supported"),
    ("quality", "partly", dict(roads=lambda v: np.concatenate([v[:1], v[1:2] + 1, v[2:]])), "supported"),
    ("stability", "supported", {"grid diffusion": lambda v: v - 1}, "partly"),
])
def test_other_results_change_the_verdict(name, stored, changes, others):
    assert judged(name) == stored
    assert judged(name, **changes) == others


def test_the_classes_that_minimize_the_kl_are_those_with_an_exact_loss_or_a_bound():
    assert set(audit.generative()) >= {"VAE", "GAN", "Diffusion", "MixtureEM"} and "Classifier" not in audit.generative()
    parts, told = audit.common_objective({})
    assert parts == [False, True] and "4 minimize it, 4 a bound" in told
    parts, told = audit.sampling_in_the_loop({})
    assert parts == [False, True] and told.endswith("GAN, LinearGAN")
