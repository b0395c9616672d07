"""Gradient checks, optimizers and the training loop (see README.md)."""
