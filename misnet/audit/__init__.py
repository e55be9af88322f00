"""Auditing energy claims: counting a network over data, and reports of what was found."""
