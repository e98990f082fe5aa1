"""`python -m wilsonian` is the command `wilsonian`."""

from wilsonian.cli import main

main()
