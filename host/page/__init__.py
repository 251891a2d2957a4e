"""The page of `python -m host.serve`: its server and, in `static`, what the browser gets."""
