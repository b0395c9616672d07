"""Figures of scratch/discriminative/."""
