"""What benchmarks/scoreboard.py is made of: rows, classical rivals, kept figures and the page."""
