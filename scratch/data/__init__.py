"""Distributions whose density is known, and one real picture; README.md has the reading order."""
