"""The parts of all pages: HTML, colours, pixels, placement of particles, metrics as text."""
