"""Outputs that other tools made: files, what they show, and the people in them."""
