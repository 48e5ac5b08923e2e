"""The process runtime: a lab is a group of real processes on this machine. For trying out and for development.

It keeps limits where the system lets it (cgroups, rlimits, as root also an own view of the file system), says
in words which do not hold, and never claims to keep people apart.
"""
