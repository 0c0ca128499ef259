"""The whole way on one screen: from a manifest and a recipe to a bundle and its evaluation."""
