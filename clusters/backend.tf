# The connection comes from PG_CONN_STR, as in proxmox/; a schema of its own keeps the two states apart.
terraform {
  backend "pg" {
    schema_name = "clusters"
  }
}
