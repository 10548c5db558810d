"""Pictures to learn from: points, digits, files and folders, and scenes whose captions can be checked."""
