"""pyllb beside its peers, in the same run: buildctl for transfers, Go's client/llb for LLB."""
