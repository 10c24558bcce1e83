"""with_kubeconfig.py and its guard against a real API server, a real Vault and the real kubectl."""

import base64
import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

import with_kubeconfig
from fleet.clusters import current
from fleet.clusters.kubeconfig import Edit
from fleet.clusters.vault import Store
from fleet.contexts import api, guard, handover
from fleet.vault import client
from lab import builds
from tests.helpers import bare_cluster, vault_server
from tests.helpers.https_server import certificate

SCRIPT = Path(with_kubeconfig.__file__)
OTHER = "00000000-0000-4000-8000-000000000000"
PRINTED = [sys.executable, "-c", "print('STARTED')"]


@pytest.fixture(scope="module")
def vault():
    with vault_server.running() as server:
        yield server


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with bare_cluster.running(tmp_path_factory.mktemp("cluster")) as one:
        end = time.monotonic() + 60
        while "passed" not in one.kubectl("get", "--raw=/readyz?verbose", check=False):
            assert time.monotonic() < end
            time.sleep(0.2)
        yield one


@pytest.fixture(scope="module")
def uid(cluster):
    return cluster.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")


@pytest.fixture(autouse=True)
def environment(vault, monkeypatch, tmp_path):
    monkeypatch.setenv("VAULT_ADDR", vault.url)
    monkeypatch.setenv("VAULT_TOKEN", vault.token)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(client, "PAUSES", (0.01,))
    for name in (*handover.ELSEWHERE, *handover.PROXIES, "GITHUB_ACTIONS", "VAULT_NAMESPACE", "VAULT_CACERT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def stored(vault, cluster, uid):
    """Write the context k8s-dev into Vault; `change` may alter it first."""

    def store(change=lambda data: None, recorded=uid, pair=None, **user):
        data = cluster.kubeconfig("k8s-dev", pair, **user)
        if recorded:
            data = current.identified(Edit(data, None, []), {}, "k8s-dev", recorded).data
        change(data)
        vault.write(KUBECONFIG=yaml.safe_dump(data))

    store()
    return store


def run(*command, context="k8s-dev"):
    words = [sys.executable, str(SCRIPT), context, "--", *map(str, command)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60)


def kubectl():
    return builds.entry("kubernetes") / "kubectl"


def test_kubectl_reaches_the_cluster(stored, cluster):
    done = run(kubectl(), "get", "namespace", "kube-system", "-o", "name")
    assert (done.returncode, done.stdout, done.stderr) == (0, "namespace/kube-system\n", "")
    done = run(kubectl(), "config", "get-contexts", "-o", "name")
    assert done.stdout == "k8s-dev\n"


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 2", 2), ("exit 77", 77), ("kill -TERM $$", 143), ("kill -KILL $$", 137)],
)
def test_the_exit_code_is_the_commands(script, code, stored):
    assert run("sh", "-c", script).returncode == code


def test_input_and_words_are_the_commands(stored, monkeypatch, tmp_path):
    monkeypatch.setenv("PROXMOX_GITOPS_ENV", str(tmp_path / "env"))
    (tmp_path / "env").write_text("PROXMOX_VE_ENDPOINT=https://from-the-file:8006/\n")
    words = [
        sys.executable,
        str(SCRIPT),
        "k8s-dev",
        "--",
        "sh",
        "-c",
        'cat; echo "$1:$PROXMOX_VE_ENDPOINT"',
        "-",
    ]
    done = subprocess.run(
        [*words, "$(id) --x *"], input="given\n", capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (
        0,
        "given\n$(id) --x *:\n",
    )  # of `.env` the command sees nothing


@pytest.mark.parametrize("words", [["a", "--", "b"], ["--", "--"], ["", "-h", "--help"]])
def test_each_word_is_the_commands(words, stored):
    script = "import json, sys; print(json.dumps(sys.argv[1:]))"
    assert json.loads(run(sys.executable, "-c", script, *words).stdout) == words


@pytest.mark.parametrize(
    "words", [[], ["k8s-dev"], ["k8s-dev", "--"], ["k8s-dev", "kubectl", "--", "x"], ["--", "x"]]
)
def test_wrong_usage(words, capsys):
    with pytest.raises(SystemExit) as caught:
        with_kubeconfig.main(words)
    assert caught.value.code == 2 and "CONTEXT -- COMMAND" in capsys.readouterr().err


def test_nohup_is_the_commands_too(stored):
    words = [sys.executable, str(SCRIPT), "k8s-dev", "--", "sh", "-c", "echo ready; sleep 1; echo alive"]
    with subprocess.Popen(
        ["nohup", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGHUP)
        assert process.communicate(timeout=20)[0] == "alive\n"
    assert process.returncode == 0


@pytest.fixture(scope="module")
def token(cluster):
    cluster.kubectl("create", "serviceaccount", "ci")
    cluster.kubectl(
        "create", "clusterrolebinding", "ci", "--clusterrole=cluster-admin", "--serviceaccount=default:ci"
    )
    return cluster.kubectl("create", "token", "ci").strip()


KINDS = ["token", "tokenFile", "exec", "files", "tls-server-name"]


@pytest.mark.parametrize("kind", KINDS)
def test_credentials_of_every_kind(kind, stored, token, cluster, tmp_path, capfd):
    """The guard takes what helm and kubectl take."""
    user = {"token": token}
    if kind == "tokenFile":
        (tmp_path / "token").write_text(token + "\n")
        user = {"tokenFile": str(tmp_path / "token")}
    elif kind == "exec":
        said = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "status": {"token": token},
        }
        user = {"exec": {"apiVersion": said["apiVersion"], "command": "echo", "args": [json.dumps(said)],
                         "interactiveMode": "Never"}}  # fmt: skip
    elif kind == "files":
        user = {f"client-{name}": str(cluster.folder / f"admin.{end}") for name, end in
                (("certificate", "crt"), ("key", "key"))}  # fmt: skip

    def change(data):
        data["users"][0]["user"] = user
        if kind == "tls-server-name":
            server = data["clusters"][0]["cluster"]
            server["server"] = server["server"].replace("127.0.0.1", "localhost")
            server["tls-server-name"] = "127.0.0.1"

    stored(change)
    done = run(kubectl(), "get", "namespace", "kube-system", "-o", "name")
    assert (done.returncode, done.stdout, done.stderr) == (0, "namespace/kube-system\n", "")


def test_somebody_else_is_not_asked_for(stored, capfd):
    """helm would act as that user, whose rights were not looked at."""
    stored(lambda data: data["users"][0]["user"].update({"as": "somebody"}))
    assert with_kubeconfig.main(["k8s-dev", "--", *PRINTED]) == 125
    assert "the user of context k8s-dev has as, with which" in capfd.readouterr().err


@pytest.mark.parametrize("group", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_the_command_once(number, group, stored, tmp_path):
    """Also one that is sent to the whole group, as `timeout` and runners do."""
    script = (
        "import signal, time\n"
        "got = []\n"
        f"signal.signal({int(number)}, lambda *_: got.append(1))\n"
        "print('ready', flush=True)\n"
        "while not got: time.sleep(0.02)\n"
        "time.sleep(0.3); print(len(got)); raise SystemExit(7)\n"
    )
    words = [sys.executable, str(SCRIPT), "k8s-dev", "--", sys.executable, "-c", script]
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "ready\n"
        (os.killpg if group else os.kill)(process.pid, number)
        assert process.communicate(timeout=20) == ("1\n", "")
    assert process.returncode == 7


def test_killed_nothing_is_left(stored, tmp_path, monkeypatch):
    """The command ends too, since its kubeconfig is gone, and no file has the key."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), "k8s-dev", "--", "sh", "-c", "echo $$ $KUBECONFIG; exec sleep 60"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        child, path = process.stdout.readline().split()
        assert Path(path).read_text()
        process.kill()
        process.wait()
        end = time.monotonic() + 10
        while (
            Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]
        ):
            assert time.monotonic() < end
            time.sleep(0.05)
    assert not Path(path).exists() and list(tmp_path.iterdir()) == []


def test_without_memory_a_signal_leaves_no_file(stored, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    script = f"import os; del os.memfd_create; import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); "
    script += "import with_kubeconfig; raise SystemExit(with_kubeconfig.main())"
    words = [sys.executable, "-c", script, "k8s-dev", "--", "sh", "-c", "echo $KUBECONFIG; exec sleep 60"]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        path = process.stdout.readline().strip()
        assert Path(path).read_text()
        process.terminate()
        process.wait(20)
    assert process.returncode == 143 and list(tmp_path.iterdir()) == []


def another_server(data):
    data["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"


def another_authority(folder):
    pem = certificate(folder).read_bytes().partition(b"-----BEGIN PRIVATE")[0]
    text = base64.b64encode(pem).decode()
    return lambda data: data["clusters"][0]["cluster"].update({"certificate-authority-data": text})


REFUSED = [
    ("another uid", 1, r"k8s-dev leads to another cluster than the one it was stored for: kube-system .*-.*, not 0"),
    ("no such context", 1, r"no context k8s-dve \(did you mean k8s-dev\?\); it has k8s-dev"),
    ("another CA", 1, r"what answers at https://127.0.0.1:\d+ is not the cluster of context k8s-dev: its certificate"),
    ("401", 1, r"refuses the credentials in Vault \(401\): they ended, or are those of another cluster"),
    ("a bad token", 1, r"refuses the credentials in Vault \(401\)"),
    ("403 of the namespace", 1, r"refuses to be asked for namespace kube-system \(403\): namespaces .* is forbidden"),
    ("no secrets", 1, r"may not list the secrets of all namespaces, in which helm keeps its releases"),
    ("API away", 2, r"does not answer whether it is ready: .*refused; check that its machines run"),
    ("Vault sealed", 2, r"is not ready \(503\): Vault is sealed"),
    ("no right in Vault", 2, r"Vault does not allow this token"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "code", "said"), REFUSED, ids=[case for case, *_ in REFUSED])
def test_nothing_is_started(case, code, said, stored, vault, cluster, tmp_path, monkeypatch, capfd):
    context = "k8s-dev"
    if case == "another uid":
        stored(recorded=OTHER)
    elif case == "no such context":
        context = "k8s-dve"
    elif case == "another CA":
        stored(another_authority(tmp_path))
    elif case == "401":
        (tmp_path / "other").mkdir()
        stored(pair=bare_cluster.Authority(tmp_path / "other").issue("admin", "system:masters"))
    elif case == "a bad token":
        stored(token="no-such-token")
    elif case == "403 of the namespace":
        stored(pair=cluster.authority.issue("nobody"))
    elif case == "no secrets":
        cluster.kubectl("create", "clusterrole", "reader", "--verb=get", "--resource=namespaces", check=False)
        cluster.kubectl(
            "create", "clusterrolebinding", "reader", "--clusterrole=reader", "--user=reader", check=False
        )
        stored(pair=cluster.authority.issue("reader"))
    elif case == "API away":
        stored(another_server)
    elif case == "no right in Vault":
        monkeypatch.setenv("VAULT_TOKEN", vault.new_token("default"))
    if case == "Vault sealed":
        vault.seal()
    try:
        with pytest.raises(guard.Fault) as caught:
            guard.checked(Store(), context)
        assert with_kubeconfig.main([context, "--", *PRINTED]) == 125
    finally:
        if case == "Vault sealed":
            vault.unseal()
    assert caught.value.code == code
    found = capfd.readouterr()
    assert re.search(said, found.err.replace("\n", " ")), found.err
    assert "STARTED" not in found.out and "Traceback" not in found.err


def test_without_an_identity_it_goes_on_and_says_so(stored, capfd):
    stored(recorded=None)
    assert with_kubeconfig.main(["k8s-dev", "--", *PRINTED]) == 0
    found = capfd.readouterr()
    assert found.out == "STARTED\n"
    assert "warning: context k8s-dev does not say which cluster it is for" in found.err
    assert "[ansible k8s-dev]" in found.err


def test_a_command_that_is_not_there(stored, capfd):
    assert with_kubeconfig.main(["k8s-dev", "--", "no-such-command"]) == 125
    assert "no-such-command cannot be started" in capfd.readouterr().err


def test_a_proxy_of_the_environment_is_passed(stored, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")  # for Vault, which is not under test
    monkeypatch.delenv("NO_PROXY", raising=False)
    done = run(kubectl(), "get", "namespace", "kube-system", "-o", "name")
    assert done.returncode == 0, done.stderr


ENDLESS = {
    "drips": (b"HTTP/1.1 200 OK\r\nX: ", b"x", 0.05, "did not end its answers within 1.5 seconds"),
    "floods": (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536, 0.0, "does not end its answer whether it is ready"),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_an_api_that_never_ends_its_answer(case, stored, cluster, monkeypatch, capfd):
    """No timeout of a connection ends it: that counts from byte to byte."""
    begins, goes_on, pause, said = ENDLESS[case]
    monkeypatch.setattr(api, "MOST", 1 << 20)
    monkeypatch.setattr(guard, "SECONDS", 1.5)
    cluster.authority.issue("slow", address="127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cluster.folder / "slow.crt", cluster.folder / "slow.key")
    stopped = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            with context.wrap_socket(listener.accept()[0], server_side=True) as one:
                one.recv(4096)
                one.sendall(begins)
                with contextlib.suppress(OSError):
                    while not stopped.wait(pause):
                        one.sendall(goes_on)

        thread = threading.Thread(target=serve)
        thread.start()
        stored(lambda data: data["clusters"][0]["cluster"].update(
            server=f"https://127.0.0.1:{listener.getsockname()[1]}"))  # fmt: skip
        begin = time.monotonic()
        try:
            assert with_kubeconfig.main(["k8s-dev", "--", *PRINTED]) == 125
        finally:
            stopped.set()
            thread.join()
    assert time.monotonic() - begin < 10
    assert said in capfd.readouterr().err


def test_the_key_is_in_no_file(stored, tmp_path, monkeypatch):
    """Not even for a moment: kubernetes' own loader would write one for each connection."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen = set()
    monkeypatch.setattr("tempfile.mkstemp", lambda *words, **more: seen.add("mkstemp"))
    kubeconfig, one = guard.checked(Store(), "k8s-dev")
    assert not seen and list(tmp_path.iterdir()) == []
    assert one.secrets("owner=helm") == []
    assert json.dumps(kubeconfig)
