"""The host's end of the link: transports that carry bytes, and a connection that makes commands of them."""
