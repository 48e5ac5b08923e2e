"""`make up`: everything of GPU Lab on one machine, under one command that Ctrl-C ends.

Django stays out of this process on purpose: it starts in 0.1 s, holds few megabytes, and survives whatever the
children do. It knows only processes, ports and files.
"""
