"""How templates are named in the variables of the role proxmox_template."""

from fleet.arguments import LABEL, WORD, Arguments
from fleet.images import catalogue

PREFIX = "proxmox_template_"


def named(a: Arguments) -> str:
    """The template that is meant: by its name, else by its image; "" where neither is given."""
    name = a.text("name", LABEL, "the name of a template")
    word = a.text("image", WORD, "the name of an image such as debian12")
    return name or (f"{catalogue.find(catalogue.read(), word).name}-template" if word else "")
