"""Complete methods: the trajectory with its presets and baselines, methods in noise space, and rounds."""
