"""One archive of what helps to find out why a lab is not well, with every secret masked."""
