"""What must hold in a VM file beyond its schema, and between VM files."""
