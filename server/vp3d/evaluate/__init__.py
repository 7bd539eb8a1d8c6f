"""Measuring how good the stages are."""
