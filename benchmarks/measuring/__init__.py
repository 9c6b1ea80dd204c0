"""The parts of benchmarks/speed.py: what is measured, how, and the page that says it."""
