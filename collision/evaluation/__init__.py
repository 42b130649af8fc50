"""Scores beside their examples, the numbers they give, and warnings about those numbers."""
