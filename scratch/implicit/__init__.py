"""Models whose density is implicit: GANs, and diffusion/; reading order in README.md."""
