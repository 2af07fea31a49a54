"""What people use today, run beside us: each file is a script of its own, without our code."""
