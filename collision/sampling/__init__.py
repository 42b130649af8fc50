"""Which moments of which video are scored, with what label, and which windows they need."""
