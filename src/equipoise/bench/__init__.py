"""Detectors side by side on planted truth: the demo, its figures, the making of the zoo."""
