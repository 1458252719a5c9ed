"""The truth: every fact of every run, and the rows that tell its state."""
