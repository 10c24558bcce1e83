"""The lab's replacement for get.k3s.io: an install script, its files, and the server that offers them."""
