"""Temperature and thresholds, fitted on the validation split alone."""
