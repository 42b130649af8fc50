"""The numbers that predictors are judged by."""
