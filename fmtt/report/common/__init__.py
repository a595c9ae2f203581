"""What all pages need: parts of HTML, colours, pixels, placement of particles, metrics as text."""
