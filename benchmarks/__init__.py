"""What the numbers in the README are made with: `python -m benchmarks`."""
