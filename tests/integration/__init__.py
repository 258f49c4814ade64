"""The whole of pyllb with a real buildkitd and a real registry."""
