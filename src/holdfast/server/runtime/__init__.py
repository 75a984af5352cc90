"""The shell around the engine: turns, commits, dispatch, timers."""
