"""The VM file: reading it, its schema, its rules."""
