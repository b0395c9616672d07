"""Figures of scratch/explicit/."""
