"""Who scores: this process, its devices, spawned processes, or Ray."""
