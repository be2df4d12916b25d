"""The built-in metrics. A metric NAME lives in NAME.py.

There are two exceptions. A variant such as `NAME_crop` or `NAME_strict` lives in NAME.py as well. `is` lives in
inception_score.py, because `is` is a keyword. Files that begin with an underscore hold what several metrics share.
"""
