"""The commands of the command line, one file each. At import they cost nothing but click."""
