"""Policies of a search: one file each, named by a YAML in ``configs/policy``."""
