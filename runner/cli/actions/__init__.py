"""What the commands do, once their arguments are read; imported when one is called."""
