"""Figures of scratch/implicit/diffusion/."""
