"""A trained network as a bundle with its model card."""
