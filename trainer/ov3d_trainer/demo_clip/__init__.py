"""A small CLIP of simulated worlds: it learns one vector per image, and dense features are tried on it."""
