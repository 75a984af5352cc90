"""One module per flow-control feature."""
