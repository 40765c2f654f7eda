"""Papers, pictures, workbooks and archives: plain values in, bytes out. Imports nothing else of the portal."""
