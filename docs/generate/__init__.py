"""The documentation site: pages that people wrote, and pages that are made of docstrings, facts and verdicts."""
