"""CEL behind one small interface, and the equality index for waits."""
