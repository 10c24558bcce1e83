"""The life of a machine that a role made: created, checked, started, changed and removed."""
