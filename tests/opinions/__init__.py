"""Second opinions on the known optimizers: optax, torch, or the paper's rule in float64 numpy.

A module here states opinions on some programs of `baselines/programs`; `harness.py` says how, and
`tests/test_baselines.py` compares every program with its opinion over a hundred steps.
"""
