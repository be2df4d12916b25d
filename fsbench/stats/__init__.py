"""Intervals and comparisons. Nothing here knows images or networks."""
