"""What the portal costs, beside a stated floor: `make bench`, or `python -m bench NAME --json`. See docs/performance.md."""
