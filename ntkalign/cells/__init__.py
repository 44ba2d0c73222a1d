"""All that decides one network's numbers."""
