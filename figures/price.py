"""What each family costs beside what it misses: read from the stored results of the ledger."""
import numpy as np

from figures import families, ledger, store, style

SECTION = "1.3"
FINDING = "The nearest family is cheap after training; diffusion pays at each use"
SETTINGS = ("From the runs of the ledger: mean over ring, grid, moons and spirals and over their seeds. Seconds of "
            "processor time, one thread. Open: a bound in place of the density, one sweep of it for each point.")

RAISED = {"diffusion": 8, "flow matching": 0, "mixture by EM": -9, "DDPM": 4}     # points, so that labels do not meet
PRICES = ("to train", "for 10,000 samples", "for 10,000 log-densities")


def compute(effort, rng):
    """Mean nats (family,) and seconds (family, price) of the ledger's runs on the four mixtures."""
    results, _ = store.read(store.result_path("ledger", "full"))
    on_mixtures = slice(0, len(ledger.MIXTURES))
    return dict(seeds=results["seeds"], families=results["families"],
                seconds=results["seconds"][:, on_mixtures].mean(axis=(1, 2)),
                nats=ledger.forward(results)[0][:, on_mixtures].mean(axis=(1, 2)))


def of(results, key, family):
    """A family's row of nats or seconds."""
    return results[key][list(results["families"]).index(family)]


def claim(results):
    """The nearest family and the prices of it and of diffusion."""
    near, far = (of(results, "nats", family) for family in ("autoregressive", "diffusion"))
    slower = of(results, "seconds", "diffusion") / of(results, "seconds", "autoregressive")
    return (f"Diffusion misses {far / near:.0f} times as much as the autoregressive model and takes {slower[0]:.1f} times "
            f"as long to train, {slower[1]:.0f} to sample, {slower[2]:.0f} for densities.")


def checks(results):
    """What headline and claim say."""
    near, far = (of(results, "nats", family) for family in ("autoregressive", "diffusion"))
    slower = of(results, "seconds", "diffusion") / of(results, "seconds", "autoregressive")
    return {"the autoregressive model is the nearest of all": bool(near == results["nats"].min()),
            "its samples and densities are cheaper than those of diffusion": bool((slower[1:] > 1).all()),
            "diffusion misses more": bool(far > near)}


def draw(results):
    """Nats against each of three prices."""
    fig = style.figure(3.6, FINDING, SETTINGS)
    axes = fig.subplots(1, len(PRICES), sharey=True)
    for ax, price, seconds in zip(axes, PRICES, results["seconds"].T):
        for family, value, x in zip(results["families"], results["nats"], seconds):
            color, is_open = ledger.COLORS[families.FAMILIES[family].color], families.FAMILIES[family].bound
            ax.plot(x, value, "o", ms=6, color=color, mfc="none" if is_open else color)
            is_left = x * x < seconds.min() * seconds.max()
            ax.annotate(family, (x, value), (6 if is_left else -6, RAISED.get(family, 0)), textcoords="offset points",
                        ha="left" if is_left else "right", va="center", fontsize=8, color=color)
        ends = 10.0 ** np.floor(np.log10(seconds.min())) / 2, 10.0 ** np.ceil(np.log10(seconds.max())) * 2
        ax.set(xscale="log", yscale="log", xlabel=f"seconds {price}", xlim=ends)
        ax.margins(y=0.15)
        ax.minorticks_off()
        ax.grid(color="#EEEEEE")
    axes[0].set_ylabel("nats missed")
    return fig
