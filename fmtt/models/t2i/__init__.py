"""Text-to-image models of diffusers as velocities and flow maps; needs the extra ``t2i``. One model a file."""
