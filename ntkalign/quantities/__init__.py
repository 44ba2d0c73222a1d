"""What the claims are about, measured on a flow."""
