"""What happens on a server, one line each: for its terminal, its log, and those who follow it over HTTP."""
