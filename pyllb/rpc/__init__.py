"""gRPC over HTTP/2, both ends of it: frames, messages, statuses, calls of ours, and the thread that moves the bytes."""
