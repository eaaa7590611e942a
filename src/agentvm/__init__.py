"""Coding agents in persistent per-project virtual machines."""

__version__ = "0.1.0"
