"""HashiCorp Vault: access, requests with retries, secrets of the KV engine."""
