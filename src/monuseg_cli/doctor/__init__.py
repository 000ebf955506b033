"""What is found on a machine, and what is wrong with it."""
