"""Has what a camera sends changed? Pure comparisons of measures with a reference; docs/drift.md says what they mean."""
