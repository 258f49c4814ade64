"""File sync: BuildKit's file-transfer protocol (fsutil), both ways, over one call of the session."""
