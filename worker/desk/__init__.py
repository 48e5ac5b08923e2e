"""The program behind a person's file page. It stands alone on the standard library: it runs by whatever Python an image brings."""
