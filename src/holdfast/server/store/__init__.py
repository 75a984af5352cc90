"""What is durable: rows and queries, no rules."""
