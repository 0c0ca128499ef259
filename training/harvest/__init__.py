"""The daemon's own store and the doctors' verdicts as a de-identified corpus."""
