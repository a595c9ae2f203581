"""Methods that are another loop than that of :mod:`fmtt.sampler`: in the space of the noise, and in rounds."""
