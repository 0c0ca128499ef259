"""Public and site collections of photographs, each read into rows of one manifest."""
