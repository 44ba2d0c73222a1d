"""Every statement that is put to the test, and how a verdict on it is reached."""
