"""Gates: whether a run is no worse than a baseline by more than margins allow: pass, regression or inconclusive.

baseline   the file that a run is held against: small, reviewable, and committed beside the code
rules      what is asked, and how bad it is to miss it: --rule and gate.toml
decide     each rule decided by the interval of the paired difference
outlets    JUnit, Markdown, annotations: what the systems show that run a gate
"""
