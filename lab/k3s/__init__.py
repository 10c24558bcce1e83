"""The lab's replacement for get.k3s.io: an install script, releases of K3s, and the server that offers them."""
