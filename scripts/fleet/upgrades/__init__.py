"""A newer version of this project, in a fleet's repository."""
