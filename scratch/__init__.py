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
given by keyword and has a default that works:

    model = VAE(2)                                       latent=2, hidden=(128, 128), prior=64, ...
    theta = model.init(rng)                              (P,) one flat vector of parameters
    noise = model.draw_noise(rng, n)                     the randomness of the loss, as arrays, or None
    loss, dtheta = model.loss(theta, x, noise)           the value and exactly its gradient
    theta = fit(model, theta, law, rng, steps=1000)      scratch.learning.training; checkpoint="run.npz" makes
                                                         a run that was stopped go on, bit for bit
    x = model.sample(theta, n, rng)                      (n, D)
    log_p = model.log_prob(theta, x)                     (n,) nats, where there is a density
    bound = model.elbo(theta, x, noise)                  (n,) nats, at most log p in expectation
    x = model.complete(theta, {0: 1.5}, n, rng)          (n, D) with coordinate 0 held at 1.5
    model.size, model.blocks                             P, and where each named block stands in theta

Symbols, the same in every file:

    N batch     D data coordinates     K mixture components     L latent coordinates
    C classes   F features             P parameters             T steps, tokens or times

Rows are data and weights are (in, out): y = x W + b.  dz is the gradient of the
loss in z, and z_dot is a tangent.  All logarithms are natural, so information is
in nats (1 nat = 1.44 bits).  Displayed equations carry numbers.  The line of code
that computes equation (3) ends with # (3), and the line of its gradient with # d(3).

Glossary: the words of this code, and the same things in JAX and PyTorch.

    law               a probability distribution: an object with sample and log_prob.
                      torch.distributions.Distribution
    nat               the unit of information with natural logarithms
    KL(p || q)        E_p[log p - log q], 0 only for p = q.  torch.distributions.kl_divergence
    theta, dtheta     all parameters in one vector, and the gradient in them.
                      jax.flatten_util.ravel_pytree; torch.nn.utils.parameters_to_vector
    pullback          the vector-Jacobian product of a function at a point: y, pull = f(x),
                      pull(dy) = J^T dy.  jax.vjp; the backward of torch.autograd.Function
    tangent           the Jacobian-vector product y_dot = J x_dot.  jax.jvp; torch.func.jvp
    mlp_jvp           a network with its tangent, and the pullback of both: reverse over forward mode.
                      jax.vjp of jax.jvp
    mlp_slope         a network with its gradient in x, and the pullback of both.
                      torch.autograd.grad(y.sum(), x, create_graph=True)
    convnet           a network of convolutions: Conv1d with circular padding, ConvTranspose1d; channels last
    complex step      Im f(x + ih) / h: a derivative exact to rounding.  torch.autograd.gradcheck's role
    loss              jax.value_and_grad(loss)
    recipe            batch size, optimizer and schedule that a model is trained with
    Adam.step         optax.adam(...).update; torch.optim.Adam.step
    average           the averaged parameters of a run.  EMA; torch.optim.swa_utils.AveragedModel
    State, save       all that changes in a run, and its file: one state_dict of model, optimizer and generator.
                      orbax.checkpoint
    affine            torch.nn.functional.linear, whose weight is (out, in)
    log-density       gaussian_log_density is torch.distributions.Normal.log_prob; categorical_log_density is
                      -torch.nn.functional.cross_entropy(reduction="none")
    score             grad_x log p(x).  jax.grad(log_prob)
    denoiser          D(x, sigma) = E[x0 | x0 + sigma eps = x].  "denoised" in k-diffusion,
                      pred_original_sample in diffusers
    sigma, level      the standard deviation of the noise, and the network's input made of it
    discriminator     the network D(x) of a GAN, one logit a row; a critic for Wasserstein
    prior             p(z), the distribution of a latent z.  prior=64 in VAE and GAN: so many learned Gaussians;
                      prior=1: N(0, I)
    elbo              the evidence lower bound: at most log p(x) in expectation
    guidance scale    classifier_free_guidance(scale) is guidance_scale in diffusers
    closed-form counterpart    the exact solution that a learned model is tested against
"""
