"""The addresses of machines, as their guest agents tell them, and the inventory of machines that a role made."""
