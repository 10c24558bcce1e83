"""What there is, as a page and as JSON."""
