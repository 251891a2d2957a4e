"""The link: a byte stream below, framed packets above, and what carries their commands out."""
