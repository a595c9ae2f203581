"""The page that compares runs, and the table of a sweep."""
