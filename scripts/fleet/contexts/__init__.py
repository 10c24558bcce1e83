"""One cluster, reached through its context in Vault: its credentials in memory, and whether it is the one meant."""
