"""Scripts run by themselves in a child process (see app/documents/child.py); never imported by the portal."""
