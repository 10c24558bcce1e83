"""What one script does with more than one room."""
