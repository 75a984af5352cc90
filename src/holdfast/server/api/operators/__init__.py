"""What operators and their tools ask: metrics, health, debugging, development tools, MCP, the web UI and its login."""
