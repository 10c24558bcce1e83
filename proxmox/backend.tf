# The connection comes from PG_CONN_STR; docs/install.md says how to use another backend.
terraform {
  backend "pg" {}
}
