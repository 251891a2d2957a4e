"""What builds came to: reports, pages, frames a second."""
