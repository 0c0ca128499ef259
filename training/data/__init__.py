"""The manifest, what keeps its splits apart, and the fast way from its rows to batches of pixels."""
