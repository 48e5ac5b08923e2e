# Login shells (a Jupyter terminal, an SSH session) start from the distribution's PATH: give them the lab's.
[ -r /run/lab/environment ] && . /run/lab/environment
