"""Where the records and the world disagree."""
