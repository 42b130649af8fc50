"""Run folders, where a number comes from, and experiment loggers."""
