"""Weights, the bundle that carries them, and the predictor: pixels to probabilities and explanations."""
