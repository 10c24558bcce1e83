"""The repository's secrets and variables: which there must be, and their forms."""
