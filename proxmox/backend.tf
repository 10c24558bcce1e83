# The connection comes from PG_CONN_STR; see the README for another backend by an override file.
terraform {
  backend "pg" {}
}
