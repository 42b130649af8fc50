"""What many runs say together: which factors matter, how the best grew, what was tried."""
