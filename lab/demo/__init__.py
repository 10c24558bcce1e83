"""The demo: a commit becomes two running machines, and what else happens in a machine's life."""
