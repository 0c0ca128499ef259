"""The product on one screen (steps) and the loop that runs it, over ports alone."""
