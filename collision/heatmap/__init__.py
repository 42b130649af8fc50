"""Where a predictor looked: maps of what its score hangs on."""
