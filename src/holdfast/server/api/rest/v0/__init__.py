"""REST `/v0`: access, activity and exports. Extensions of ours."""
