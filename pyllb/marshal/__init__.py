"""From ir values to LLB: exact op bytes, digests, metadata, source maps and the image config. Pure; no I/O."""
