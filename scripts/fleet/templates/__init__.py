"""Templates: built of an image, checked, swapped for newer ones, and removed when nobody needs them."""
