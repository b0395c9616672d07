"""KL(p || q) in nats from densities, from samples or from both: see README.md."""
