"""What stores that speak SQL have in common: rows, lists, pages, searches. Each has its own statements and dialect."""
