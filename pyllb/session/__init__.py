"""Session: the services of this process that the daemon calls during a solve, over one tunnelled HTTP/2 connection."""
