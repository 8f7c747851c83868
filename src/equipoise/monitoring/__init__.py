"""Monitor: see memorization begin while a model is trained."""
