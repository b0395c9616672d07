"""A causal transformer: the autoregressive model of discrete sequences, as used today.

Model.   The chain rule over positions, every conditional read off one network:

    p(x) = prod_t p(x_t | x_<t),      p(x_t = c | x_<t) = softmax(logits_t)_c

The input is the sequence moved by one place, (start, x_1, ..., x_(T-1)), so that
position t holds x_(t-1) and may look at itself and at what is before it:

    h_t = token[x_(t-1)] + position[t]
    h   = h + attention(norm(h))           mixes positions, causally, H heads side by side
    h   = h + feed_forward(norm(h))        W -> 4 W -> W at each position, silu between
    logits_t = norm(h_t) W_out + b_out

(Radford et al. 2018; norm before each part and not after it, Radford et al.
2019.)  The triangle that MADE cuts into its weights lies in the attention here,
and so one set of weights serves every position.

Loss.    L = -1/N sum_n log p(x_n) in nats per sequence; L / T is nats per token.

Gradient.  The kernels of kernels/attention.py pulled back in reverse.  h + part(h)
has two ways through: dh = dh + (what the part's pullback says).

Cache.   Keys and values of the past never change, since nothing looks ahead.  To
draw one more token only its own query is needed (`step`): T passes of one
position in place of T passes of all.

Symbols: N batch, T positions, C classes, W width, H heads of width d = W / H.
"""
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scratch import checks
from scratch.kernels.attention import affine, causal_attention, embedding, layer_norm
from scratch.kernels.likelihoods import categorical_log_density
from scratch.kernels.stable import silu
from scratch.learning.optimizers import Adam, warmed_up_cosine
from scratch.learning.training import Recipe


@dataclass(frozen=True)
class Transformer:
    """p(x) over {0 ... classes-1}^length, exact.

    >>> model = Transformer(length=5, classes=3, width=8, heads=2, layers=1)
    >>> theta = model.init(np.random.default_rng(0))
    >>> model.log_prob(theta, np.array([[0, 1, 2, 1, 0]])).shape
    (1,)
    """
    length: int
    classes: int
    width: int
    heads: int
    layers: int

    recipe = Recipe(Adam(3e-3, beta2=0.99), schedule=warmed_up_cosine, batch_size=128)

    def __post_init__(self):
        for name in ("length", "width", "heads", "layers"):
            checks.size(getattr(self, name), name)
        checks.size(self.classes, "classes", minimum=2)
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, got {self.width} and {self.heads}")

    @property
    def dim(self):
        return self.length

    @cached_property
    def shapes(self):
        """Every parameter array by name, in the order of theta; those of layer l are named l."""
        W, C = self.width, self.classes
        block = {"norm_1_gain": (W,), "norm_1_bias": (W,), "W_qkv": (W, 3 * W), "b_qkv": (3 * W,),
                 "W_mix": (W, W), "b_mix": (W,), "norm_2_gain": (W,), "norm_2_bias": (W,),
                 "W_up": (W, 4 * W), "b_up": (4 * W,), "W_down": (4 * W, W), "b_down": (W,)}
        shapes = {"token": (C + 1, W), "position": (self.length, W)}            # token C is the start
        shapes |= {f"{layer}.{name}": shape for layer in range(self.layers) for name, shape in block.items()}
        return shapes | {"norm_gain": (W,), "norm_bias": (W,), "W_out": (W, C), "b_out": (C,)}

    @property
    def size(self):
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def views(self, theta):
        """theta (P,) as a dict of named arrays: views, not copies."""
        parts, start = {}, 0
        for name, shape in self.shapes.items():
            end = start + int(np.prod(shape))
            parts[name], start = theta[start:end].reshape(shape), end
        return parts

    def init(self, rng, dtype=np.float32):
        """Random theta (P,): weights N(0, 1 / in), what is added to h smaller by sqrt(2 layers) (GPT-2)."""
        checks.generator(rng)
        theta = np.zeros(self.size, dtype)
        for name, part in self.views(theta).items():
            if "gain" in name:
                part[...] = 1
            elif part.ndim == 2:
                into_h = name.endswith(("W_mix", "W_down"))
                std = 0.3 if name in ("token", "position") else len(part) ** -0.5
                part[...] = rng.normal(0, std / np.sqrt(2 * self.layers) if into_h else std, part.shape)
        self.views(theta)["W_out"][...] *= 0.1
        return theta

    def draw_noise(self, rng, n):
        """The likelihood is exact: no noise."""
        return None

    def loss(self, theta, x, noise=None):
        """-mean log p(x) in nats per sequence, and its gradient (P,)."""
        x = checks.class_rows(x, self.length, self.classes)
        logits, pull_network = self.logits(theta, x)
        log_p, pull_classes = categorical_log_density(x, logits)                # (N, T)
        dlogits = pull_classes(np.full_like(log_p, -1 / len(x)))
        return -np.sum(log_p) / len(x), pull_network(dlogits)

    def log_prob(self, theta, x):
        """log p(x) in nats, exact, (N,)."""
        return self.log_prob_by_token(theta, x).sum(axis=1)

    def log_prob_by_token(self, theta, x):
        """log p(x_t | x_<t) in nats, (N, T)."""
        x = checks.class_rows(x, self.length, self.classes)
        return categorical_log_density(x, self.logits(theta, x)[0])[0]

    def logits(self, theta, x):
        """logits (N, T, C) of every next token, and pull(dlogits) -> dtheta (P,)."""
        x, parts = checks.class_rows(x, self.length, self.classes), self.views(checks.flat(theta, self.size))
        before = np.concatenate([np.full((len(x), 1), self.classes), x[:, :-1]], axis=1)
        tokens, pull_token = embedding(parts["token"], before)
        h = tokens + parts["position"]                                          # (N, T, W)
        pulls = []
        for layer in range(self.layers):
            h, pull_block, _ = self._block(parts, layer, h)
            pulls.append(pull_block)
        z, pull_norm = layer_norm(h, parts["norm_gain"], parts["norm_bias"])
        logits, pull_out = affine(z, parts["W_out"], parts["b_out"])            # (N, T, C)

        def pull(dlogits):
            d = {}
            dz, d["W_out"], d["b_out"] = pull_out(dlogits)
            dh, d["norm_gain"], d["norm_bias"] = pull_norm(dz)
            for pull_block in reversed(pulls):
                dh = pull_block(dh, d)
            d["position"], d["token"] = dh.sum(axis=0), pull_token(dh)
            return np.concatenate([d[name].ravel() for name in self.shapes])

        return logits, pull

    def _block(self, parts, layer, h, past=None):
        """h after layer `layer`, pull(dh, d) -> dh (it fills d with the layer's gradients), and (keys, values).

        past: keys and values of earlier positions, when h holds only the positions after them.
        """
        get = {name: parts[f"{layer}.{name}"] for name in
               ("norm_1_gain", "norm_1_bias", "W_qkv", "b_qkv", "W_mix", "b_mix",
                "norm_2_gain", "norm_2_bias", "W_up", "b_up", "W_down", "b_down")}
        z, pull_norm_1 = layer_norm(h, get["norm_1_gain"], get["norm_1_bias"])
        qkv, pull_qkv = affine(z, get["W_qkv"], get["b_qkv"])                   # (N, T, 3 W)
        q, k, v = self._split(qkv)                                              # (N, H, T, d) each
        if past is not None:
            k, v = (np.concatenate(pair, axis=2) for pair in zip(past, (k, v)))
        y, pull_attention = causal_attention(q, k, v)
        mixed, pull_mix = affine(self._merge(y), get["W_mix"], get["b_mix"])
        h = h + mixed
        z, pull_norm_2 = layer_norm(h, get["norm_2_gain"], get["norm_2_bias"])
        a, pull_up = affine(z, get["W_up"], get["b_up"])                        # (N, T, 4 W)
        wide, pull_silu = silu(a)
        added, pull_down = affine(wide, get["W_down"], get["b_down"])

        def pull(dh, d):
            dwide, d[f"{layer}.W_down"], d[f"{layer}.b_down"] = pull_down(dh)
            dz, d[f"{layer}.W_up"], d[f"{layer}.b_up"] = pull_up(pull_silu(dwide))
            dx, d[f"{layer}.norm_2_gain"], d[f"{layer}.norm_2_bias"] = pull_norm_2(dz)
            dh = dh + dx                                                        # around the part and through it
            dy, d[f"{layer}.W_mix"], d[f"{layer}.b_mix"] = pull_mix(dh)
            dqkv = np.stack([self._merge(part) for part in pull_attention(self._heads(dy))], axis=2)
            dz, d[f"{layer}.W_qkv"], d[f"{layer}.b_qkv"] = pull_qkv(dqkv.reshape(*dy.shape[:2], -1))
            dx, d[f"{layer}.norm_1_gain"], d[f"{layer}.norm_1_bias"] = pull_norm_1(dz)
            return dh + dx

        return h + added, pull, (k, v)

    def _heads(self, y):
        """(N, T, W) as (N, H, T, d)."""
        return y.reshape(*y.shape[:2], self.heads, -1).swapaxes(1, 2)

    def _merge(self, y):
        """(N, H, T, d) as (N, T, W): the heads side by side."""
        return y.swapaxes(1, 2).reshape(y.shape[0], y.shape[2], self.width)

    def _split(self, qkv):
        return (self._heads(part) for part in np.split(qkv, 3, axis=2))

    # ---- sampling ----

    def step(self, theta, tokens, caches=()):
        """logits (N, C) of the token after `tokens` (N,), and the caches for the step after.

        caches: what the step before returned; empty for the first, whose tokens
        are all `classes`, the start symbol.
        """
        parts, t = self.views(checks.flat(theta, self.size)), caches[0][0].shape[2] if caches else 0
        if t >= self.length:
            raise ValueError(f"the sequence of {self.length} tokens is complete: no step is left")
        h = (embedding(parts["token"], tokens)[0] + parts["position"][t])[:, None]      # (N, 1, W)
        kept = []
        for layer in range(self.layers):
            h, _, cache = self._block(parts, layer, h, caches[layer] if caches else None)
            kept.append(cache)
        z, _ = layer_norm(h[:, 0], parts["norm_gain"], parts["norm_bias"])
        return affine(z, parts["W_out"], parts["b_out"])[0], kept

    def sample(self, theta, n, rng):
        """n sequences (n, T) of integers, token by token."""
        return self.complete(theta, np.empty(0, int), n, rng)

    def complete(self, theta, known, n, rng):
        """n sequences (n, T) that begin with the tokens `known` (t,), t < T; the rest is drawn given these."""
        n, rng, theta = checks.size(n, "n"), checks.generator(rng), checks.flat(theta, self.size)
        known = np.asarray(known)
        if known.ndim != 1 or len(known) >= self.length:
            raise ValueError(f"known must hold the first t < {self.length} tokens, got shape {known.shape}")
        known = checks.class_rows(known[None], len(known), self.classes)[0] if len(known) else known
        x, caches, tokens = np.empty((n, self.length), int), (), np.full(n, self.classes)
        for t in range(self.length):
            logits, caches = self.step(theta, tokens, caches)
            drawn = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)   # ~ softmax
            x[:, t] = tokens = np.full(n, known[t]) if t < len(known) else drawn
        return x
