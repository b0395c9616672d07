"""A causal transformer: the autoregressive model of discrete sequences, as used today.

Model.   The chain rule over positions, every conditional given by one network:

    p(x) = prod_t p(x_t | x_<t),      p(x_t = c | x_<t) = softmax(logits_t)_c           (1)

The input is the sequence moved by one place, (start, x_1, ..., x_(T-1)): position t holds x_(t-1).

    h_t = token[x_(t-1)] + position[t]                                                  (2)
    h   = h + attention(norm(h))           each t attends to positions up to t, H heads (3)
    h   = h + feed_forward(norm(h))        W -> 4 W -> W at each position, silu between (4)
    logits_t = norm(h_t) W_out + b_out                                                  (5)

(3) and (4) make one layer (Radford et al. 2018, "Improving Language Understanding by Generative
Pre-Training"), the norm before each part (Radford et al. 2019, "Language Models are Unsupervised
Multitask Learners", GPT-2).  MADE masks its weights.  Here the mask is in the attention, and so one
set of weights serves every position.

Loss.    L = -1/N sum_n log p(x_n)    in nats per sequence; L / T is nats per token     (6)

Gradient.  The pullbacks (vector-Jacobian products) of kernels/attention.py in reverse.  h enters
h + part(h) twice, so a pullback adds to dh:

    dlog p(x_t | x_<t) = -1/N                                                          d(6)
    dh = dh + (the pullback at dh of feed_forward(norm(h)), then of attention(norm(h))) d(4), d(3)

Cache.   Keys and values of the past never change, since no position depends on later ones.  So
`complete` computes one position for each token, not all of them.
Checked in tests/explicit/test_transformer.py::test_log_prob_is_the_naive_loop,
tests/explicit/test_transformer.py::test_gradient_in_every_parameter and
tests/explicit/test_transformer.py::test_steps_with_a_cache_give_the_logits_of_the_full_pass.
Symbols: N batch, T positions (= dim), C classes, P parameters, W width, H heads of width W / H.
"""
from dataclasses import KW_ONLY, dataclass
from functools import cached_property, partial

import numpy as np

from scratch import checks
from scratch.explicit.made import Autoregressive, orders_that_begin_with
from scratch.kernels.attention import affine, causal_attention, embedding, layer_norm
from scratch.kernels.likelihoods import categorical_log_density
from scratch.kernels.stable import silu
from scratch.learning.optimizers import Adam, warmed_up_cosine
from scratch.learning.training import Recipe


@dataclass(frozen=True)
class Transformer(Autoregressive):
    """p(x) over {0 ... classes-1}^dim, exact.  Default sizes as in the figure transformer_brackets.

    >>> model, words = Transformer(3, width=8, heads=2), np.indices((2, 2, 2)).reshape(3, 8).T
    >>> theta = model.init(np.random.default_rng(0), np.float64)
    >>> round(float(np.exp(model.log_prob(theta, words)).sum()), 12)              # of all 8 words
    1.0
    """
    dim: int
    _: KW_ONLY
    classes: int = 2
    width: int = 48
    heads: int = 4
    layers: int = 2
    # By hand, 1e-3 to 1e-2; beta2: see Adam; 128 not swept
    recipe = Recipe(Adam(3e-3, beta2=0.99), schedule=warmed_up_cosine, batch_size=128)

    def __post_init__(self):
        checks.fields(self, dim=checks.size, width=checks.size, heads=checks.size, layers=checks.size,
                      classes=partial(checks.size, minimum=2))
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, got {self.width} and {self.heads}")

    @cached_property
    def shapes(self):
        """Every parameter array by name, in the order of theta: "0.W_up" is W_up of layer 0."""
        W, C = self.width, self.classes
        layer = {"norm_1_gain": (W,), "norm_1_bias": (W,), "W_qkv": (W, 3 * W), "b_qkv": (3 * W,),
                 "W_mix": (W, W), "b_mix": (W,), "norm_2_gain": (W,), "norm_2_bias": (W,),
                 "W_up": (W, 4 * W), "b_up": (4 * W,), "W_down": (4 * W, W), "b_down": (W,)}
        shapes = {"token": (C + 1, W), "position": (self.dim, W)}           # token C is the start
        shapes |= {f"{l}.{name}": shape for l in range(self.layers) for name, shape in layer.items()}
        return shapes | {"norm_gain": (W,), "norm_bias": (W,), "W_out": (W, C), "b_out": (C,)}

    @cached_property
    def blocks(self):
        """Where each array stands in theta: {name: slice}."""
        ends = np.cumsum([np.prod(shape) for shape in self.shapes.values()]).tolist()
        return {name: slice(start, end) for name, start, end in zip(self.shapes, [0, *ends], ends)}

    @property
    def size(self):
        return self.blocks["b_out"].stop

    def views(self, theta):
        """theta (P,) as a dict of named arrays: views, not copies."""
        return {name: theta[block].reshape(self.shapes[name]) for name, block in self.blocks.items()}

    def init(self, rng, dtype=np.float32):
        """Random theta (P,): weights N(0, 1 / in), which give a normed input the output variance 1.

        Each of the 2 layers parts added to h is divided by sqrt(2 layers), so that the variance of
        their sum does not grow with the depth (GPT-2, section 2.3).
        """
        rng, theta = checks.generator(rng), np.zeros(self.size, checks.dtype(dtype))
        for name, part in self.views(theta).items():
            if "gain" in name:
                part[...] = 1
            elif part.ndim == 2:
                std = 0.3 if name in ("token", "position") else len(part) ** -0.5   # 0.3: by hand
                shrink = np.sqrt(2 * self.layers) if name.endswith(("W_mix", "W_down")) else 1
                part[...] = rng.normal(0, std / shrink, part.shape)
        self.views(theta)["W_out"][...] *= 0.1              # nearly uniform p; by hand, not swept
        return theta

    def loss(self, theta, x, noise=None):
        """-mean log p(x) in nats per sequence, and its gradient (P,)."""
        log_p, pull = self._log_conditionals(theta, x)                          # (N, T)
        loss = -np.sum(log_p) / len(x)                                                      # (6)
        return loss, pull(np.full_like(log_p, -1 / len(x)))                                 # d(6)

    def log_prob(self, theta, x):
        """log p(x) in nats, exact, (N,)."""
        return np.sum(self._log_conditionals(theta, x)[0], axis=1)                          # (1)

    def _log_conditionals(self, theta, x):
        """log p(x_t | x_<t), (N, T), and pull(dlog_p) -> dtheta."""
        theta, x = checks.flat(theta, self.size), checks.class_rows(x, self.dim, self.classes)
        before = np.concatenate([np.full((len(x), 1), self.classes), x[:, :-1]], axis=1)
        logits, pull_network, _ = self._network(theta, before)
        log_p, pull_classes = categorical_log_density(x, logits)                            # (1)
        return log_p, lambda dlog_p: pull_network(pull_classes(dlog_p))                     # d(1)

    def _network(self, theta, before, caches=None):
        """logits (N, T, C) of the tokens after `before` (N, T), pull(dlogits) -> dtheta, caches.

        caches: each layer's (keys, values) of earlier positions.  pull is for a pass without them.
        """
        p, pulls, kept = self.views(theta), [], []
        start = caches[0][0].shape[2] if caches else 0
        tokens, pull_token = embedding(p["token"], before)
        h = tokens + p["position"][start:start + before.shape[1]]               # (N, T, W)  (2)
        for layer in range(self.layers):
            p_layer = {name.partition(".")[2]: p[name] for name in p if name.startswith(f"{layer}.")}
            h, pull_block, cache = self._block(p_layer, h, caches[layer] if caches else None)
            pulls.append(pull_block)
            kept.append(cache)
        z, pull_norm = layer_norm(h, p["norm_gain"], p["norm_bias"])
        logits, pull_out = affine(z, p["W_out"], p["b_out"])                    # (N, T, C)  (5)

        def pull(dlogits):
            d = {}
            dz, d["W_out"], d["b_out"] = pull_out(dlogits)                                  # d(5)
            dh, d["norm_gain"], d["norm_bias"] = pull_norm(dz)
            for layer in reversed(range(self.layers)):
                dh, d_layer = pulls[layer](dh)
                d |= {f"{layer}.{name}": dpart for name, dpart in d_layer.items()}
            d["position"], d["token"] = dh.sum(axis=0), pull_token(dh)                      # d(2)
            return np.concatenate([d[name].ravel() for name in self.shapes])

        return logits, pull, kept

    def _block(self, p, h, past=None):
        """h after one layer of arrays p, pull(dh) -> (dh, dp), and (keys, values), those of `past` first."""
        z, pull_norm_1 = layer_norm(h, p["norm_1_gain"], p["norm_1_bias"])
        qkv, pull_qkv = affine(z, p["W_qkv"], p["b_qkv"])                       # (N, T, 3 W)
        q, k, v = (self._split(part) for part in np.split(qkv, 3, axis=2))      # (N, H, T, d) each
        if past is not None:
            k, v = (np.concatenate(pair, axis=2) for pair in zip(past, (k, v)))
        y, pull_attention = causal_attention(q, k, v)
        mixed, pull_mix = affine(self._merge(y), p["W_mix"], p["b_mix"])        # (N, T, W)
        h = h + mixed                                                                       # (3)
        z, pull_norm_2 = layer_norm(h, p["norm_2_gain"], p["norm_2_bias"])
        a, pull_up = affine(z, p["W_up"], p["b_up"])                            # (N, T, 4 W)
        wide, pull_silu = silu(a)
        added, pull_down = affine(wide, p["W_down"], p["b_down"])               # (N, T, W)
        h = h + added                                                                       # (4)

        def pull(dh):
            d = {}
            dwide, d["W_down"], d["b_down"] = pull_down(dh)
            dz, d["W_up"], d["b_up"] = pull_up(pull_silu(dwide))
            dpart, d["norm_2_gain"], d["norm_2_bias"] = pull_norm_2(dz)
            dh = dh + dpart                                                                 # d(4)
            dy, d["W_mix"], d["b_mix"] = pull_mix(dh)
            dqkv = np.concatenate([self._merge(part) for part in pull_attention(self._split(dy))], axis=2)
            dz, d["W_qkv"], d["b_qkv"] = pull_qkv(dqkv)
            dpart, d["norm_1_gain"], d["norm_1_bias"] = pull_norm_1(dz)
            return dh + dpart, d                                                            # d(3)

        return h, pull, (k, v)

    def _split(self, y):
        """(N, T, W) as (N, H, T, d): the heads one by one."""
        return y.reshape(*y.shape[:2], self.heads, -1).swapaxes(1, 2)

    def _merge(self, y):
        """(N, H, T, d) as (N, T, W): the heads side by side."""
        return y.swapaxes(1, 2).reshape(y.shape[0], y.shape[2], self.width)

    def complete(self, theta, known, n, rng):
        """n sequences (n, T) that agree with the dict `known`, which must name the first positions."""
        n, rng, theta = checks.size(n, "n"), checks.generator(rng), checks.flat(theta, self.size)
        orders_that_begin_with(known, [range(self.dim)], self.classes)
        x, caches, tokens = np.empty((n, self.dim), int), None, np.full(n, self.classes)
        for t in range(self.dim):
            logits, _, caches = self._network(theta, tokens[:, None], caches)
            noise = rng.gumbel(size=(n, self.classes))
            drawn = np.argmax(logits[:, 0] + noise, axis=1)                     # ~ softmax  (1)
            x[:, t] = tokens = np.full(n, known[t]) if t in known else drawn
        return x
