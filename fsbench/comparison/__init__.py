"""Runs of different days, machines and versions compared: by the samples that they share, and only as far as they can.

    scores     the numbers of each sample of a finished run, failures counted as its values count them
    protocol   what two runs did differently, and which numbers that touches
    paired     the difference of two models over the samples of both, by one metric
    table      all differences that are asked for, corrected for their number, and what is said of each

Free of torch. Runs are read from their folders; a baseline (`fsbench.gates`) stands for the run that it was saved from.
"""
