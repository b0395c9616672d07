"""Models whose likelihood, or a bound on it, is computed."""
