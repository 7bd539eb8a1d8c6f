"""Training data: rendered people with exact joints."""
