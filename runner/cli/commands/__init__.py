"""The arguments of each command, one module each; light, so that helps are quick."""
