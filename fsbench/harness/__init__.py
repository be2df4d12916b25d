"""Services behind the commands; each in a file of its own, imported only when it runs."""
