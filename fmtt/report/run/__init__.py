"""The page of one run, its pictures, and what its loggers show."""
