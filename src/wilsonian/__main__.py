"""`python -m wilsonian` is the command `wilsonian`."""

from wilsonian.app.cli import main

main()
