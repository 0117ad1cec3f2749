"""Files of weights: what is known of them, how they are had, checked and read."""
