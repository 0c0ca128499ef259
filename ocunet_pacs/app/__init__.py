"""Composition roots: each role built from settings, in one place, and handed what it needs."""
