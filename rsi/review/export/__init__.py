"""A run for other tools: one set of records, and a module a format that writes them."""
