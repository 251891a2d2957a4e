"""Single units of the gateware, synthesised alone: their resources and clock rates (`python -m hw.units`)."""
