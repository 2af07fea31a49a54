"""What the API and monitors look at: the receiver of postbacks, health and metrics."""
