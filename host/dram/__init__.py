"""The board's memory from the host: bringing it up over the link, and testing it."""
