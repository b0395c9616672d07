"""Exercises of the study path, and the code of its stops: python -m exercises 3."""
