"""Figures of scratch/learning/."""
