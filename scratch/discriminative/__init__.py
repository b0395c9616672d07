"""p(y|x) and generative classifiers; the reading order is in README.md."""
