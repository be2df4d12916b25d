"""What metrics are handed beside outputs and targets; one file per kind of evidence, which is a plug-in."""
