"""Training: the procedural stage world, stages, losses in a loop, and evaluation. Never imports the page."""
