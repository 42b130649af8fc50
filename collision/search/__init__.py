"""The space of experiments, and what is drawn from it."""
