"""The built package: wheel, sdist, and the protobuf versions it works with."""
