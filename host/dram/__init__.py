"""The board's memory from the host's side: bringing it up over the link, and testing it."""
