"""Values with their derivatives: the functions that every model is made of (see README.md)."""
