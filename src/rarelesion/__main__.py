"""`python -m rarelesion`."""

from rarelesion.cli import main

main()
