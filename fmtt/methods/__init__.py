"""Whole methods: the trajectory with its presets and baselines, methods in the space of the noise, and rounds."""
