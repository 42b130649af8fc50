"""Which moments of which video are scored, with what label, and which windows they need."""

from collision.sampling.policy import SamplingPolicy

__all__ = ["SamplingPolicy"]  # predictors of version 0.1 name the class by this path
