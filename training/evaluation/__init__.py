"""An exported bundle judged through the serving predictor, and compared with another."""
