"""What a build means, as frozen values: vertices, platforms, references, call sites. No protobuf, no I/O."""
