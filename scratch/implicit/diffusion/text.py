"""Text encoder: a prompt of a few words becomes the context of a denoiser's network.

Model.   A prompt is a row of T integers: 1 ... V for its words, in order, then 0 (a pad) where it is over.
m_t is 1 at a word and 0 at a pad, e_t the row of a table that belongs to the word at place t.  A bag of words is
    c = sum_t m_t e_t                                                                          (1)

It is the same for every order of the words: "not soft circle" and "soft not circle" have one code.
With attention each place also looks at the words before it (kernels/attention.py):
    z_t = norm(e_t + position_t)                                                               (2)
    [Q K V] = z W_qkv,      a = causal_attention(Q, K, V) W_mix                                (3)
    c = sum_t m_t (e_t + a_t)                                                                  (4)

A pad stands behind all words, where causal attention does not look, and its own row is left out of
(4).  So pads change nothing, and the empty prompt has c = 0: the context of "nothing is known".

Gradient.  dc arrives from the denoiser's network (network.py).  With the pullbacks (vector-Jacobian
products) of the kernels
    de_t = da_t = m_t dc                                                                      d(4)
    dz = the pullback of (3) at da,      de += the pullback of (2) at dz                 d(3), d(2)

Source: causal attention in the encoder of prompts is that of CLIP (Radford et al. 2021, "Learning
Transferable Visual Models From Natural Language Supervision", section 2.4), which Stable Diffusion takes.
CLIP keeps the code of the last place, and Stable Diffusion's network looks at the codes of all
places by cross-attention (Rombach et al. 2022, "High-Resolution Image Synthesis with Latent
Diffusion Models", section 3.3).  The sum in (4) is our own: one vector, as a network without places needs.
Checked in tests/implicit/diffusion/test_text.py::test_the_context_is_the_naive_loop
Checked in tests/implicit/diffusion/test_text.py::test_gradient_in_every_parameter
Symbols: N prompts, T places, V words, W width, P parameters.
"""
from dataclasses import KW_ONLY, dataclass
from functools import cached_property

import numpy as np

from scratch import checks
from scratch.kernels.attention import affine, causal_attention, embedding, layer_norm

TABLE = 0.5                    # std of the table at the start: a prompt of 4 words then has entries near 1, as x has
MIX = 0.1                      # of the usual start of W_mix, so that it starts as a bag of words; by hand, not swept


def tokenize(prompts, vocabulary, length=6):
    """Rows (n, length) of integers for prompts in words: k for the k-th word of the vocabulary, 0 for pads.

    >>> tokenize(["soft not circle", ""], ("not", "soft", "circle"), length=4).tolist()
    [[2, 1, 3, 0], [0, 0, 0, 0]]
    """
    for values, name in ((prompts, "prompts"), (vocabulary, "vocabulary")):
        if not isinstance(values, (list, tuple)) or not values or not all(isinstance(value, str) for value in values):
            raise TypeError(f"{name} must be a list or tuple of text, got {checks.brief(values)}")
    number = {word: k for k, word in enumerate(vocabulary, start=1)}
    rows = np.zeros((len(prompts), checks.size(length, "length")), np.int64)
    for row, prompt in zip(rows, prompts):
        words = prompt.split()
        if len(words) > length or not set(words) <= set(number):
            raise ValueError(f"a prompt must be at most {length} of the words {', '.join(number)}, got {prompt!r}")
        row[:len(words)] = [number[word] for word in words]
    return rows


@dataclass(frozen=True)
class TextEncoder:
    """tokens (N, T) -> context (N, W), with its pullback.

    >>> text = TextEncoder(words=3, width=4)
    >>> text(text.init(np.random.default_rng(0)), np.zeros((1, 6), int))[0].tolist()       # the empty prompt
    [[0.0, 0.0, 0.0, 0.0]]
    """
    words: int
    _: KW_ONLY
    width: int = 32
    length: int = 6
    attention: bool = True                                  # False: (1), a bag of words

    def __post_init__(self):
        checks.fields(self, words=checks.size, width=checks.size, length=checks.size)
        if not isinstance(self.attention, bool):
            raise TypeError(f"attention must be True or False, got {checks.brief(self.attention)}")

    @cached_property
    def shapes(self):
        """Every parameter array by name, in the order of theta."""
        W = self.width
        block = {"position": (self.length, W), "gain": (W,), "bias": (W,), "W_qkv": (W, 3 * W), "W_mix": (W, W)}
        return {"table": (self.words, W)} | (block if self.attention else {})

    @cached_property
    def blocks(self):
        """Where each array stands in theta: {name: slice}."""
        ends = np.cumsum([np.prod(shape) for shape in self.shapes.values()]).tolist()
        return {name: slice(start, end) for name, start, end in zip(self.shapes, [0, *ends], ends)}

    @property
    def size(self):
        """P, the length of theta."""
        return list(self.blocks.values())[-1].stop

    def views(self, theta):
        """theta (P,) as a dict of named arrays: views, not copies."""
        theta = checks.flat(theta, self.size)
        return {name: theta[block].reshape(self.shapes[name]) for name, block in self.blocks.items()}

    def init(self, rng, dtype=np.float32):
        """Random theta (P,): table N(0, TABLE^2), positions N(0, TABLE^2), weights N(0, 1 / in)."""
        rng, theta = checks.generator(rng), np.zeros(self.size, checks.dtype(dtype))
        for name, part in self.views(theta).items():
            if part.ndim == 2:
                part[...] = rng.normal(0, self.width ** -0.5 if name[0] == "W" else TABLE, part.shape)
                part *= MIX if name == "W_mix" else 1
            elif name == "gain":
                part[...] = 1
        return theta

    def __call__(self, theta, tokens):
        """c (N, W), and pull(dc) -> dtheta."""
        p, tokens = self.views(theta), checks.class_rows(tokens, self.length, self.words + 1)
        mask = (tokens > 0).astype(theta.real.dtype)[:, :, None]                  # (N, T, 1)
        if (np.diff(mask, axis=1) > 0).any():
            raise ValueError("pads (0) must stand behind the words of a prompt")
        e, pull_table = embedding(p["table"], np.maximum(tokens - 1, 0))          # (N, T, W); pads: any row
        part, pull_part = self._attend(p, e) if self.attention else (0, None)
        c = np.sum(mask * (e + part), axis=1)                                     # (N, W)  (1), (4)

        def pull(dc):
            de, d = mask * dc[:, None], {}                                        # (N, T, W)  d(1), d(4)
            if self.attention:
                de_part, d = pull_part(de)
                de = de + de_part
            d["table"] = pull_table(de)
            return np.concatenate([d[name].ravel() for name in self.shapes])

        return c, pull

    def _attend(self, p, e):
        """a (N, T, W) of (3) for e (N, T, W), and pull(da) -> (de, dp)."""
        z, pull_norm = layer_norm(e + p["position"], p["gain"], p["bias"])        # (2)
        nothing = np.zeros(3 * self.width, e.dtype)         # no biases: that of K would change nothing
        qkv, pull_qkv = affine(z, p["W_qkv"], nothing)                            # (N, T, 3 W)
        y, pull_attention = causal_attention(*np.split(qkv, 3, axis=2))           # (N, T, W)  (3)
        a, pull_mix = affine(y, p["W_mix"], nothing[:self.width])                 # (3)

        def pull(da):
            d = {}
            dy, d["W_mix"], _ = pull_mix(da)                                      # d(3)
            dz, d["W_qkv"], _ = pull_qkv(np.concatenate(pull_attention(dy), axis=2))            # d(3)
            de, d["gain"], d["bias"] = pull_norm(dz)                              # d(2)
            d["position"] = de.sum(axis=0)                                        # d(2)
            return de, d

        return a, pull
