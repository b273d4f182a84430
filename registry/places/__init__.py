"""Where a registry can be: a folder of this machine, or a server."""
