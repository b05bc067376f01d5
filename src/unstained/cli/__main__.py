"""`python -m unstained.cli`, for where the installed command is not on the path."""

from unstained.cli import main

main()
