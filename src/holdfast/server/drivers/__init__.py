"""How a step request reaches user code."""
