"""Jupyter in a lab: behind the platform's relay, with only what a start needs."""

import os

c = get_config()  # noqa: F821 - given by Jupyter to its configuration files

c.ServerApp.ip = "0.0.0.0"  # noqa: S104 - the container's own network; published on the node's loopback only
c.ServerApp.port = 8888
c.ServerApp.port_retries = 0
c.ServerApp.open_browser = False
c.ServerApp.root_dir = "/workspace"
c.ServerApp.base_url = os.environ.get("GPULAB_BASE_URL", "/")
# The relay passes the browser's Host on, so that Jupyter can compare it with Origin.
c.ServerApp.allow_remote_access = True
c.ServerApp.terminado_settings = {"shell_command": ["/bin/bash", "-l"]}

# Fast start: no language servers, no bridge to the old notebook, no look at the extension index.
c.ServerApp.jpserver_extensions = {
    "jupyterlab": True,
    "jupyter_server_terminals": True,
    "jupyter_lsp": False,
    "notebook_shim": False,
}
c.LabApp.extension_manager = "readonly"
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.news_url = None
