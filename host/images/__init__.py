"""Images: files, folders that are watched, cameras."""
