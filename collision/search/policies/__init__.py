"""Who proposes what is tried next: one file a policy, with its YAML in ``configs/policy``."""
