"""A local page for the browser: clips in, curves out; runs beside each other."""
