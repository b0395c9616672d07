"""The chapter's family tree (figures 1.1 and 1.2), filled with the classes of this package.

    MODELS["AutoregressiveMixture"]()      a small instance, for tests, certificates and drawings

This is the only file that imports all models.  The tests that every model must pass, the gradient
certificate and the figure of the tree run over MODELS, so a model in this list cannot escape them.
"""
from dataclasses import dataclass
from typing import Callable

import numpy as np

from scratch.discriminative.logistic_regression import LogisticRegression, SoftmaxRegression
from scratch.discriminative.mixture_density import MixtureRegressor
from scratch.discriminative.neural_network import Classifier, Regressor
from scratch.discriminative.svm import LinearSVM
from scratch.explicit.autoregressive import AutoregressiveMixture
from scratch.explicit.linear_vae import LinearVAE
from scratch.explicit.made import MADE
from scratch.explicit.mixture_em import MixtureEM
from scratch.explicit.transformer import Transformer
from scratch.explicit.bernoulli_vae import BernoulliVAE
from scratch.explicit.vae import VAE
from scratch.implicit.diffusion.conditioning import ConditionalDiffusion
from scratch.implicit.diffusion.correlated import CorrelatedDiffusion
from scratch.implicit.diffusion.ddpm import DDPM
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.implicit.diffusion.latent_diffusion import LatentDiffusion
from scratch.implicit.diffusion.score_matching import ScoreNetwork
from scratch.implicit.diffusion.flow_matching import FlowMatching
from scratch.implicit.gan import GAN
from scratch.implicit.linear_gan import LinearGAN
from scratch.implicit.source_filter_gan import SourceFilterGAN
from scratch.implicit.wave_gan import WaveGAN

# The headings of the chapter, in its order: key -> its words, and the same in English.
HEADINGS = {
    "1": ("1. 什么是生成模型?", "What is a generative model?"),
    "1.1": ("1.1 基本定义", "Definition"),
    "1.2": ("1.2 生成模型的核心能力", "Three core abilities"),
    "1.3": ("1.3 生成模型的分类", "The classes of generative models"),
    "1.4": ("1.4 生成模型与判别模型的对比", "Generative and discriminative models compared"),
    "1.5": ("1.5 扩散模型的特殊性", "What is special about diffusion models"),
    "figures": ("图表辅助说明", "The figures"),
    "figure 1.1": ("图1.1 生成模型与判别模型的区别", "How generative and discriminative models differ"),
    "figure 1.2": ("图1.2 生成模型家族树", "The family tree of generative models"),
    "case": ("案例研究:生成模型的实际意义", "Case studies: what generative models are for"),
    "loop": ("代码示例:生成模型的伪代码", "Code: a generic training loop"),
    "key": ("关键公式", "The key formula"),
}

# The branches of the chapter, each with its Chinese title and the branch that it grows from.
BRANCHES = {
    "models": ("模型", None),
    "generative models": ("生成模型", "models"),
    "discriminative models": ("判别模型", "models"),
    "explicit density": ("显式密度模型", "generative models"),
    "implicit density": ("隐式密度模型", "generative models"),
    "autoregressive models": ("自回归模型", "explicit density"),
    "variational autoencoders": ("变分自编码器", "explicit density"),
    "generative adversarial networks": ("GANs", "implicit density"),
    "diffusion models": ("扩散模型", "implicit density"),
}


def reals(model, rng, n):
    """n rows of D numbers."""
    return rng.standard_normal((n, model.dim))


def integers(model, rng, n):
    """n rows of D classes."""
    return rng.integers(model.classes, size=(n, model.dim))


def bits(model, rng, n):
    """n rows of D zeros and ones, as floats."""
    return rng.integers(2, size=(n, model.dim)).astype(float)


def labeled(model, rng, n):
    """n rows of D numbers and the class of each in a last column."""
    return np.column_stack([reals(model, rng, n), rng.integers(getattr(model, "classes", 2), size=n)])


def prompted(model, rng, n):
    """n rows of means and standard deviations of D latents and a prompt: 1 to T words, then pads."""
    tokens = rng.integers(1, model.words + 1, size=(n, model.length))
    tokens[np.arange(model.length) >= rng.integers(1, model.length + 1, size=(n, 1))] = 0
    return np.column_stack([reals(model, rng, n), rng.uniform(0.1, 0.5, (n, model.dim)), tokens])


def numbered(model, rng, n):
    """n rows of D numbers and a number to be predicted in a last column."""
    return rng.standard_normal((n, model.dim + 1))


@dataclass(frozen=True)
class Entry:
    """A model class, its branch, sizes small enough to check every parameter, and data that it accepts.

    exact: the loss is -mean log_prob, without a bound, a penalty or noise.
    """
    model: type
    branch: str
    sizes: dict
    rows: Callable = reals
    exact: bool = False

    def __call__(self):
        return self.model(**self.sizes)


MODELS = {entry.model.__name__: entry for entry in [
    Entry(MixtureEM, "explicit density", dict(components=3), exact=True),
    Entry(AutoregressiveMixture, "autoregressive models",
          dict(dim=3, components=2, hidden=(5, 4), order=(1, 2, 0)), exact=True),
    Entry(MADE, "autoregressive models",
          dict(dim=4, hidden=(6, 5), classes=3, orders=((1, 3, 0, 2),)), integers, exact=True),
    Entry(Transformer, "autoregressive models", dict(dim=5, classes=3, width=8, heads=2, layers=2), integers,
          exact=True),
    Entry(VAE, "variational autoencoders", dict(dim=3, latent=2, hidden=(6, 5), prior=3)),
    Entry(BernoulliVAE, "variational autoencoders", dict(dim=4, latent=2, hidden=(6,), prior=1), bits),
    Entry(LinearVAE, "variational autoencoders", dict(dim=4, latent=2)),
    Entry(GAN, "generative adversarial networks", dict(dim=3, latent=2, prior=3, output_noise=1.0, hidden=(6, 5))),
    Entry(WaveGAN, "generative adversarial networks", dict(dim=16, latent=2, prior=3, output_noise=1.0, hidden=(5,),
                                                           channels=(3,), kernels=(4,), strides=(2,))),
    Entry(SourceFilterGAN, "generative adversarial networks",
          dict(dim=16, latent=2, prior=3, taps=5, periods=(3, 4), hidden=(5,), channels=(3,), kernels=(4,),
               strides=(2,))),
    Entry(LinearGAN, "generative adversarial networks", dict(dim=3, latent=3)),
    Entry(Diffusion, "diffusion models", dict(dim=3, hidden=(6, 5))),
    Entry(ConditionalDiffusion, "diffusion models", dict(dim=3, hidden=(5, 4), classes=3), labeled),
    Entry(CorrelatedDiffusion, "diffusion models", dict(dim=3, hidden=(5, 4), stds=(2.0, 0.6, 1.1)), labeled),
    Entry(LatentDiffusion, "diffusion models",
          dict(dim=2, words=2, length=2, width=4, hidden=(5, 4)), prompted),
    Entry(DDPM, "diffusion models", dict(dim=3, steps=6, hidden=(6, 5))),
    Entry(ScoreNetwork, "diffusion models", dict(dim=3, hidden=(6, 5))),
    Entry(FlowMatching, "diffusion models", dict(dim=3, hidden=(6, 5))),
    Entry(LogisticRegression, "discriminative models", dict(dim=3, penalty=0.1), labeled, exact=True),
    Entry(SoftmaxRegression, "discriminative models", dict(dim=3, classes=4, penalty=0.1), labeled, exact=True),
    Entry(LinearSVM, "discriminative models", dict(dim=3, penalty=0.1), labeled),
    Entry(Classifier, "discriminative models", dict(dim=3, classes=4, hidden=(5, 4), penalty=0.1), labeled, exact=True),
    Entry(Regressor, "discriminative models", dict(dim=3, hidden=(5, 4), penalty=0.1), numbered, exact=True),
    Entry(MixtureRegressor, "discriminative models", dict(dim=3, hidden=(5, 4), components=2, penalty=0.1), numbered,
          exact=True),
]}
