"""Figures of scratch/data/."""
