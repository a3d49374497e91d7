"""The command lines of the tools; each file in `tools/` only calls one of them."""
