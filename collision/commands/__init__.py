"""One file a verb: ``run(config, paths)`` gives the exit code."""
