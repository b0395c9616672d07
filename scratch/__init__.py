"""Generative models, derived by hand: a reference to be read, tested and redrawn.

The family tree.  The folders are those of the chapter's figure 1.2; read them
in this order, for imports only point upwards in this list:

    checks, estimate   bad input at the door; a number with its error
    kernels/           building blocks: each value with its derivative directly below
    learning/          gradient checks, optimizers, and one training loop for all families
    data/              laws with exact densities, and two real measurements
    divergence/        KL(p_data || p_model) in nats, by many roads that must agree
    discriminative/    p(y|x): the other side of the picture
    explicit/          models whose likelihood, or a bound on it, is computed
    implicit/          models known by their samples: GANs, diffusion, flow matching
    family_tree        MODELS: every model class and its place

A model is a frozen dataclass of sizes, without state:

    theta = model.init(rng)                              (P,) one flat vector of parameters
    loss, dtheta = model.loss(theta, x, noise)           the value and exactly its gradient
    theta = fit(model, theta, law, rng, steps=1000)      scratch.learning.training
    x = model.sample(theta, n, rng)                      (n, D)
    log_p = model.log_prob(theta, x)                     (n,) nats

Notation.  Rows are data, weights are (in, out): y = x W + b.  N batch, D data,
K components.  dz is the gradient of the loss in z; y_dot is a tangent.  A
kernel returns its value and its pullback: y, pull = kernel(x), dx = pull(dy).
All logarithms are natural: information is in nats.
"""
