"""Runs over many files: what is done, what is left, and a record that survives a power cut."""
