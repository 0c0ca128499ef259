"""Losses, schedule, averaging, the loop, and what survives when it is killed."""
