"""What editors do over SSH, replayed with OpenSSH's own programs: VS Code's Remote-SSH, and PyCharm's remote interpreter and debugger."""

import os
import socket
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.portal.ssh.conftest import House, answers
from tests.support.ports import port_free
from tests.support.waiting import wait_for

#: What the editor leaves running in the lab: it says on which port it listens, and echoes.
SERVER = """
    import socket, sys, threading
    def echo(one):
        while data := one.recv(65536):
            one.sendall(data)
        one.close()
    server = socket.create_server(("127.0.0.1", 0))
    print(f"listeningOn=={server.getsockname()[1]}==", flush=True)
    while True:
        threading.Thread(target=echo, args=(server.accept()[0],), daemon=True).start()
"""


def socks(proxy: int, host: str, port: int) -> socket.socket:
    """A connection through a SOCKS5 proxy, by the host's name. Raises OSError when the proxy says no."""
    link = socket.create_connection(("127.0.0.1", proxy), timeout=30)
    link.sendall(b"\x05\x01\x00")
    assert link.recv(2) == b"\x05\x00"
    link.sendall(b"\x05\x01\x00\x03" + bytes((len(host),)) + host.encode() + struct.pack(">H", port))
    answer = link.recv(10)
    if answer[1:2] != b"\x00":
        link.close()
        raise OSError(f"the proxy refused: {answer!r}")
    return link


def test_vs_code_installs_its_server_by_a_shell_and_talks_to_it_through_one_connection(house: House, tmp_path: Path) -> None:
    home, program, proxy = tmp_path / "home", tmp_path / "vscode-server.tar.gz", port_free()
    program.write_text(textwrap.dedent(SERVER))
    scp = ["scp", "-q", *house.options(), "-P", str(house.port)]
    subprocess.run([*scp, str(program), f"resnet@127.0.0.1:{tmp_path}/copied"], check=True, timeout=60)
    script = f"""
        echo "1f2e: running"
        uname -rsv && mkdir -p {home}/.vscode-server/bin && mv {tmp_path}/copied {home}/.vscode-server/bin/server.py
        {sys.executable} {home}/.vscode-server/bin/server.py > {home}/log 2>&1 &
        echo $! > {home}/pid
        while ! grep -q listeningOn {home}/log; do sleep 0.05; done
        cat {home}/log; echo "1f2e: end"; wait
    """
    client = house.open("bash", options=("-T", "-D", f"127.0.0.1:{proxy}", "-o", "ConnectTimeout=60"))
    assert client.stdin is not None and client.stdout is not None
    try:
        client.stdin.write(textwrap.dedent(script).encode())
        client.stdin.flush()
        said = b""
        while b"1f2e: end" not in said:
            said += client.stdout.readline()
        port = int(said.partition(b"listeningOn==")[2].partition(b"==")[0])
        links = [socks(proxy, host, port) for host in ("127.0.0.1", "localhost") * 6]
        for number, link in enumerate(links):
            link.sendall(b"GET /version %d" % number)
        assert [link.recv(100) for link in links] == [b"GET /version %d" % number for number in range(len(links))]
        try:
            socks(proxy, "10.0.0.1", 80)
            raise AssertionError("another host was reached")
        except OSError as error:
            assert "refused" in str(error)
    finally:
        os.kill(int((home / "pid").read_text()), 9)
        client.kill()
        client.wait(30)


def test_pycharm_copies_its_helpers_asks_for_the_interpreter_and_is_called_back_by_the_debugger(house: House, tmp_path: Path) -> None:
    helpers, there = tmp_path / "helpers", tmp_path / "lab" / ".pycharm_helpers"
    for number in range(20):
        (helpers / f"d{number % 4}").mkdir(parents=True, exist_ok=True)
        (helpers / f"d{number % 4}" / f"{number}.py").write_text(f"print({number})\n")
    debugged = "import socket, sys; link = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); link.sendall(b'version 1')"
    (helpers / "debugged.py").write_text(debugged)
    assert house.ssh("uname -sm; echo $HOME").returncode == 0
    batch = f"-mkdir {there.parent}\nput -R {helpers} {there}\nls {there}\n"
    sftp = ["sftp", "-b", "-", *house.options(), "-P", str(house.port), "resnet@127.0.0.1"]
    assert subprocess.run(sftp, input=batch.encode(), capture_output=True, timeout=60).returncode == 0
    ran = house.ssh(f"{sys.executable} -u {there}/d3/7.py; {sys.executable} -c 'import sys; print(sys.version_info.major)'")
    assert ran.stdout == b"7\n3\n"
    with socket.create_server(("127.0.0.1", 0)) as debugger:
        debugger.settimeout(30)
        port = port_free()
        client = house.open(f"{sys.executable} {there}/debugged.py {port}", options=("-R", f"{port}:127.0.0.1:{debugger.getsockname()[1]}"))
        near, _ = debugger.accept()
        near.settimeout(30)
        assert near.recv(20) == b"version 1"
        near.close()
        assert client.wait(30) == 0
    wait_for(lambda: not answers(port), what="the end of the debugger's port")
