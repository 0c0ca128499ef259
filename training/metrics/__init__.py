"""What scores are worth: masked where a label is unknown, undefined where nothing can be said."""
