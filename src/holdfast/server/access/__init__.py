"""Who may do what: keys of machines, users with sessions, API tokens, roles, the audit log."""
