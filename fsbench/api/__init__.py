"""What `fsbench.run`, `fsbench.score`, `fsbench.load` and `fsbench.Evaluation` are: the jobs of the command line, asked
for from Python.

They print nothing unless asked to, raise the errors of `fsbench.errors`, and leave the settings of the process alone.
"""
