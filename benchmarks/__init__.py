"""Measurements beside limits, peers and targets, all from one run: ``python -m benchmarks``."""
