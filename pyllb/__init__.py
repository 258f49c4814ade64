"""pyllb: builds written in Python, compiled to BuildKit's LLB and solved on buildkitd."""
