"""Training the weights that ship with the project."""
