"""Numbers of a finished run in the formats of other programs: tables, documents, experiment trackers."""
