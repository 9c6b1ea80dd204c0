"""What benchmarks/curves.py is made of: reading a run's log, what a doubling brought, drawings and the page."""
