"""Rows: studies, instances, analyses, outputs, deliveries, and the queue that moves the work."""
