"""The machines of `.env`: what is in their way, which they are, and their clean-up."""
