import numpy as np
import pytest

from scratch.implicit.dirac_gan import DiracGAN, measured_rate
from scratch.implicit.gan import minimax, non_saturating, relativistic, wasserstein
from scratch.kernels.stable import softplus
from scratch.learning.gradient_check import central_difference, complex_step, gradient

OBJECTIVES = [minimax, non_saturating, relativistic, wasserstein]


def losses(objective, game, theta, psi):
    """(L_D, L_G) written with D(x) = psi x at the data x = 0 and the fake x = theta, as a GAN would see them."""
    real, fake = 0 * psi, psi * theta
    discriminator, generator = {
        minimax: lambda: (softplus(-real)[0] + softplus(fake)[0], -softplus(fake)[0]),
        non_saturating: lambda: (softplus(-real)[0] + softplus(fake)[0], softplus(-fake)[0]),
        relativistic: lambda: (softplus(-(real - fake))[0], softplus(real - fake)[0]),
        wasserstein: lambda: (fake - real, -fake)}[objective]()
    length = psi if psi.real > 0 else -psi                  # |psi|, complex-safe
    penalty = 0.5 * (game.r1 + game.r2) * psi ** 2 + game.gradient_penalty * (length - 1) ** 2
    return discriminator + penalty, generator


# ---- 1 definition, 2 gradient ----

@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("state", [(0.7, 1.3), (-0.4, 0.6), (1.1, -0.8)])
def test_field_is_each_players_gradient_of_its_own_loss(objective, state):
    game = DiracGAN(objective, r1=0.3, r2=0.2, gradient_penalty=0.7)
    theta, psi = (np.array(value) for value in state)
    one = np.ones(())
    dtheta = complex_step(lambda theta: losses(objective, game, theta, psi)[1], theta, one)
    dpsi = complex_step(lambda psi: losses(objective, game, theta, psi)[0], psi, one)
    np.testing.assert_allclose(game.field(state), [dtheta, dpsi], rtol=1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("r1, r2", [(0.0, 0.0), (0.7, 0.0), (0.2, 3.0)])
def test_jacobian_is_the_derivative_of_the_field(objective, r1, r2):
    game = DiracGAN(objective, r1, r2)
    J = np.stack([gradient(lambda state: game.field(state)[row], np.zeros(2), central_difference)
                  for row in range(2)])
    np.testing.assert_allclose(game.jacobian(), J, atol=1e-9)
    a, c = (1.0 if objective is wasserstein else 0.5), r1 + r2
    roots = (c + np.array([1, -1]) * np.sqrt(complex(c ** 2 - 4 * a ** 2))) / 2
    values = np.linalg.eigvals(game.jacobian())
    np.testing.assert_allclose(np.sort_complex(values), np.sort_complex(roots), atol=1e-14)


# ---- 4 the prediction against the game itself ----

@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("penalties", [(0.0, 0.0), (0.3, 0.0), (0.0, 0.3), (0.5, 0.4), (3.0, 0.0)])
@pytest.mark.parametrize("alternating", [False, True])
@pytest.mark.parametrize("h", [0.02, 0.2])
def test_predicted_and_measured_rates_agree_to_a_millionth(objective, penalties, alternating, h):
    game = DiracGAN(objective, *penalties)
    path = game.simulate((3e-5, -1e-5), h, 200, alternating)
    predicted = game.rate(h, game.alternating if alternating else game.simultaneous)
    assert abs(measured_rate(path) - predicted) < 1e-6


def test_alternating_means_that_theta_moves_first():
    """Both orders have the same rate, so the rate cannot tell: one step written out."""
    game, h, (theta, psi) = DiracGAN(wasserstein, r1=0.5), 0.1, (0.3, 0.2)
    moved = theta + h * psi
    expected = moved, psi - h * (moved + 0.5 * psi)
    np.testing.assert_allclose(game.simulate((theta, psi), h, 1, alternating=True)[1], expected, rtol=1e-14)
    np.testing.assert_allclose(game.alternating(h, game.jacobian()) @ (theta, psi), expected, rtol=1e-14)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_rates_in_closed_form(objective):
    a, h, c = (1.0 if objective is wasserstein else 0.5), 0.1, 0.3
    plain, penalized = DiracGAN(objective), DiracGAN(objective, r1=c)
    assert abs(plain.rate(h, plain.simultaneous) - np.sqrt(1 + h ** 2 * a ** 2)) < 1e-14
    assert abs(plain.rate(h, plain.alternating) - 1) < 1e-14
    assert abs(penalized.rate(h, penalized.simultaneous) - np.sqrt(1 - h * c + h ** 2 * a ** 2)) < 1e-14
    assert abs(penalized.rate(h, penalized.alternating) - np.sqrt(1 - h * c)) < 1e-14


@pytest.mark.parametrize("alternating", [False, True])
def test_distance_to_equilibrium_follows_the_rate_for_a_thousand_steps(alternating):
    """Nothing is fitted here: only the first and the last distance are looked at."""
    game, h, steps = DiracGAN(non_saturating, r1=0.2), 0.1, 1000
    path = game.simulate((1e-4, 1e-4), h, steps, alternating)
    rate = np.log(np.linalg.norm(path[-1]) / np.linalg.norm(path[0])) / steps
    predicted = np.log(game.rate(h, game.alternating if alternating else game.simultaneous))
    assert abs(rate - predicted) < 0.5 / steps and predicted < -0.008


@pytest.mark.parametrize("objective", [minimax, wasserstein])
def test_small_steps_conserve_the_distance_of_minimax_and_wasserstein(objective):
    drift = [np.linalg.norm(DiracGAN(objective).simulate((1.0, 0.5), h, round(5 / h))[-1]) ** 2 - 1.25
             for h in (8e-3, 4e-3)]
    assert 0 < drift[1] < 0.03 and abs(drift[0] / drift[1] - 2) < 0.05           # first order in h: 0 in the limit


def test_non_saturating_loss_converges_at_u_tanh_half_u():
    game, h = DiracGAN(non_saturating), 1e-5
    path = game.simulate((1.5, 1.0), h, 2)
    speed = np.diff((path ** 2).sum(axis=1) / 2)[0] / h
    assert abs(speed - (-1.5 * np.tanh(0.75))) < 1e-4
    assert np.linalg.norm(game.simulate((1.5, 1.0), 0.05, 600)[-1]) < 0.85 * np.linalg.norm((1.5, 1.0))


@pytest.mark.parametrize("alternating", [False, True])
def test_wgan_with_gradient_penalty_never_arrives(alternating):
    """From right beside the equilibrium it leaves, with every step size; a weak penalty never comes to rest."""
    for h in (0.1, 0.02):
        steps = round(40 / h)                               # six turns
        path = DiracGAN(wasserstein, gradient_penalty=0.3).simulate((1e-6, 1e-6), h, steps, alternating)
        assert np.linalg.norm(path[steps // 2:], axis=1).min() > 0.2
        assert np.ptp(path[steps // 2:], axis=0).min() > 0.5
    with pytest.raises(ValueError, match="kink"):
        DiracGAN(wasserstein, gradient_penalty=0.3).jacobian()


def test_wgan_with_a_strong_penalty_rests_elsewhere():
    for weight in (1.0, 2.5):
        end = DiracGAN(wasserstein, gradient_penalty=weight).simulate((0.3, 0.1), 0.1, 1000)[-1]
        np.testing.assert_allclose(np.abs(end), [2 * weight, 0], atol=1e-3)


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda: DiracGAN("minimax"), TypeError, "objective must be a function"),
    (lambda: DiracGAN(minimax, r1=-1.0), ValueError, "r1 must be a non-negative"),
    (lambda: DiracGAN(minimax, r2=np.nan), ValueError, "r2 must be a non-negative finite"),
    (lambda: DiracGAN(minimax).rate(0.0, DiracGAN(minimax).simultaneous), ValueError, "h must be"),
    (lambda: DiracGAN(minimax).simulate((1.0, 2.0, 3.0), 0.1, 10), ValueError, "state must have shape"),
    (lambda: DiracGAN(minimax).simulate((1.0, 2.0), 0.1, 0), ValueError, "steps must be at least 1"),
    (lambda: measured_rate(np.ones((2, 2))), ValueError, "at least 3 states"),
    (lambda: measured_rate(np.ones((5, 3))), ValueError, r"shape \(n, 2\)"),
])
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()
