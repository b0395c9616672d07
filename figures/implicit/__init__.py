"""Figures of scratch/implicit/."""
