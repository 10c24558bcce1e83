"""What stands in for get.k3s.io in the lab: an install script, its files, and what hands them out."""
