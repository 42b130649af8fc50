"""From windows of video to features on disk: fingerprint, store, extraction."""
