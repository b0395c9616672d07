"""Figures of scratch/divergence/."""
