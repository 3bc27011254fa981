"""`python -m lqa`: the command `lqa`."""
from .node import main

main()
