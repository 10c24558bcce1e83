"""People's own playbooks: making a new one, what each must hold to, and the variables of machines."""
