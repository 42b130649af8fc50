"""The only place that reads frames."""
