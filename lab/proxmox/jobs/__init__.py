"""What the task workers do; each function may raise ApiError and may print lines for the task's log."""
