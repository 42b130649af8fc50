"""Heads: how they are built, trained on cached features, and saved as predictors."""
