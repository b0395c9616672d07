"""Generative models, derived by hand: a reference to be read, tested and redrawn.

Reading order.  Imports only point upwards in this list, and each folder has a
README.md of its own.  explicit/ and implicit/ are the two sides of the chapter's
figure 1.2; discriminative/ is the other half of its figure 1.1.

    checks, estimate   clear errors for bad input; a number with its error and its unit
    grid               the midpoint rule on a box
    kernels/           building blocks: each value with its derivative directly below
    learning/          gradient checks, optimizers, one training loop for all families, checkpoints
    data/              distributions with exact densities; one real MRI slice
    divergence/        estimators of KL(p_data || p_model), in nats
    discriminative/    p(y | x): logistic regression, SVM, neural network, mixture density network
    explicit/          models whose likelihood, or a bound on it, is computed
    implicit/          models known by their samples: GANs; diffusion and flow matching
    family_tree        MODELS: every model class and its place

A model is a frozen dataclass of sizes, without state.  Everything after `dim` is
given by keyword and has a default that works (MixtureEM alone takes the number of
its components first, and then `dim`):

    model = VAE(2)                                       latent=2, hidden=(128, 128), prior=64, ...
    theta = model.init(rng)                              (P,) one flat vector of parameters
    noise = model.draw_noise(rng, n)                     the randomness of the loss, as arrays, or None
    loss, dtheta = model.loss(theta, x, noise)           the value and exactly its gradient
    theta = fit(model, theta, law, rng, steps=1000)      scratch.learning.training; checkpoint="run.npz" makes
                                                         a run that was stopped go on, bit for bit
    x = model.sample(theta, n, rng)                      (n, D)
    log_p = model.log_prob(theta, x)                     (n,) nats, where there is a density
    bound = model.elbo(theta, x, noise)                  (n,) nats, in expectation at most log p
    x = model.complete(theta, {0: 1.5}, n, rng)          (n, D) with coordinate 0 held at 1.5
    model.size, model.blocks                             P, and where each named block stands in theta
    model.recipe, model.in_nats                          how `fit` trains it; True if standardize may add to its loss
    model.players                                        of a GAN: the slices of theta of its two players

Rows are data and weights are (in, out): y = x W + b.  dz is the gradient of the loss in
z.  The line of code that computes equation (3) of its file ends with # (3), and the
line of its gradient with # d(3).  GLOSSARY.md beside this file has all symbols and
words, in English and Chinese, with their names in PyTorch, JAX, diffusers and
scikit-learn.  REFERENCES.md has the works that the docstrings cite.
"""
