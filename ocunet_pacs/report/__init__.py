"""Results to DICOM: the structured report, the heatmap, and their readable renderings."""
