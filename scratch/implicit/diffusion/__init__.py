"""Diffusion models: noise is added to data little by little, and a network learns to remove it (see README.md)."""
