"""Specs: the options of a solve, as typed values and as the strings that buildctl and buildx read."""
