"""Child processes inherit what `cendre run` or `CENDRE=1` switched on: subprocess, multiprocessing, server workers.

Invariant tested: the child itself says that cendre is on in it, and a fork warns no more than it does without cendre.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import textwrap
import time
import urllib.request

import pytest

SCRIPTS = sysconfig.get_path("scripts")
CENDRE = os.path.join(SCRIPTS, "cendre")
TIMEOUT = 90


def call(*command, cwd, **variables):
    done = subprocess.run(list(map(str, command)), cwd=cwd, env={**os.environ, **variables}, capture_output=True,
                          text=True, timeout=TIMEOUT, check=False)
    return done.returncode, done.stdout, done.stderr


WORKERS = textwrap.dedent("""
    import multiprocessing, os, subprocess, sys
    import cendre

    def busy(n):
        total = 0
        for i in range(n):
            total += i
        return total

    def work(n):
        return cendre.is_enabled(), os.getpid(), busy(n)

    if __name__ == "__main__":
        method = sys.argv[1]
        if method == "subprocess":
            code = "import cendre, os; print((cendre.is_enabled(), os.getpid(), sum(range(1000))))"
            answers = [eval(subprocess.run([sys.executable, "-c", code], stdout=-1, text=True, check=True).stdout)]
        elif method == "os.fork":
            reader, writer = os.pipe()
            if not os.fork():
                os.write(writer, repr(work(1000)).encode())
                os._exit(0)
            answers = [eval(os.read(reader, 1000))]
            assert os.wait()[1] == 0
        else:
            with multiprocessing.get_context(method).Pool(2) as pool:
                answers = pool.map(work, [1000] * 8)
        for on, pid, total in answers:
            assert on is True, answers
            assert pid != os.getpid()
            assert total == 499500
        print("all on")
""")


@pytest.mark.parametrize("method", ["subprocess", "os.fork", "fork", "spawn", "forkserver"])
def test_children_inherit(tmp_path, method):
    (tmp_path / "app.py").write_text(WORKERS)
    # `-W error`: a warning of ours about threads at a fork would end the program.
    assert call(CENDRE, "run", "-W", "error", "app.py", method, cwd=tmp_path) == (0, "all on\n", "")
    assert call(sys.executable, "app.py", method, cwd=tmp_path, CENDRE="1") == (0, "all on\n", "")


@pytest.mark.parametrize("method", ["os.fork", "fork"])
def test_children_of_a_process_with_compiled_code(tmp_path, method):
    (tmp_path / "app.py").write_text(WORKERS)
    assert call(CENDRE, "run", "--threshold", "0", "-W", "error", "app.py", method, cwd=tmp_path) == (0, "all on\n", "")


def test_fork_in_the_middle_of_sampling_warns_of_nothing(tmp_path):
    (tmp_path / "app.py").write_text(textwrap.dedent("""
        import os, time
        def spin(seconds):
            end = time.perf_counter() + seconds
            n = 0
            while time.perf_counter() < end:
                n += 1
            return n
        for _ in range(10):
            spin(0.02)
            pid = os.fork()
            if not pid:
                os._exit(0 if spin(0.01) else 1)
            assert os.waitpid(pid, 0)[1] == 0
        print("forked")
    """))
    assert call(CENDRE, "run", "-W", "error", "app.py", cwd=tmp_path) == (0, "forked\n", "")


def test_reports_of_children_are_gathered(tmp_path):
    (tmp_path / "app.py").write_text(WORKERS.replace("Pool(2) as pool", "Pool(1) as pool"))
    path = tmp_path / "reports"
    path.write_text("of an earlier run\n")
    status, out, err = call(sys.executable, "app.py", "subprocess", cwd=tmp_path, CENDRE="1", CENDRE_EXPLAIN=path)
    assert (status, out, err) == (0, "all on\n", "")
    reports = [json.loads(line) for line in path.read_text().splitlines()]
    assert [report["owner"] for report in reports] == [False, True]
    assert len({report["pid"] for report in reports}) == 2
    assert reports[1]["argv"] == ["app.py", "subprocess"]

    # multiprocessing ends its forked children without Python's own exit.
    program = textwrap.dedent("""
        import multiprocessing
        def work():
            print("worked")
        if __name__ == "__main__":
            child = multiprocessing.get_context("fork").Process(target=work)
            child.start(); child.join()
    """)
    (tmp_path / "forks.py").write_text(program)
    assert call(sys.executable, "forks.py", cwd=tmp_path, CENDRE="1", CENDRE_EXPLAIN=path) == (0, "worked\n", "")
    reports = [json.loads(line) for line in path.read_text().splitlines()]
    assert [report["owner"] for report in reports] == [False, True]


def test_subinterpreters_are_left_alone(tmp_path):
    program = "from concurrent import interpreters as i; s = i.create(); s.exec('print(sum(range(10)))'); s.close()"
    assert call(sys.executable, "-c", program, cwd=tmp_path, CENDRE="1") == (0, "45\n", "")


ASGI = """
import os, cendre
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = f"{cendre.is_enabled()} {os.getpid()}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain"),
                                                                          (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
"""

WSGI = """
import os, cendre
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{cendre.is_enabled()} {os.getpid()}".encode()]
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ask(port, deadline):
    """One answer of the server; waits until it listens."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            with opener.open(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                return answer.read().decode()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_workers_of_servers_inherit(tmp_path, server):
    port = free_port()
    if server == "uvicorn":
        (tmp_path / "served.py").write_text(ASGI)
        arguments = ["-m", "uvicorn", "served:app", "--workers", "2", "--port", str(port), "--log-level", "warning"]
    else:
        (tmp_path / "served.py").write_text(WSGI)
        arguments = ["-m", "gunicorn", "served:app", "--workers", "2", "--bind", f"127.0.0.1:{port}"]
    log = (tmp_path / "log").open("w+")
    child = subprocess.Popen([CENDRE, "run", *arguments], cwd=tmp_path, stdout=log, stderr=log,
                             start_new_session=True)
    try:
        deadline = time.monotonic() + 45
        answers = [ask(port, deadline) for _ in range(10)]
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    log.seek(0)
    text = log.read()
    assert not re.search(r"Traceback|Fatal|cendre:", text), text
    for answer in answers:
        on, pid = answer.split()
        assert on == "True", answers
        assert int(pid) != child.pid


@pytest.mark.parametrize("threads", [1, 3])
def test_a_child_that_a_thread_forks_ends_with_that_thread(tmp_path, threads):
    """Python does not end such a process, the kernel does when its last thread is gone: none of ours may be left."""
    source = f"""
import os, threading, time
import cendre
assert cendre.is_enabled()
def busy(n):
    return sum(i & 3 for i in range(n))
def worker():
    child = os.fork()
    if child == 0:
        busy(300000)
        print("child", flush=True)
        return
    for _ in range(2000):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            print("parent", status, flush=True)
            return
        time.sleep(0.01)
    print("the child does not end", flush=True)
    os.kill(child, 9)
for _ in range({threads}):
    thread = threading.Thread(target=worker)
    thread.start()
    thread.join()
busy(300000)
"""
    status, out, err = call(sys.executable, "-W", "ignore", "-c", source, cwd=tmp_path, CENDRE="1", CENDRE_THRESHOLD="1")
    assert (status, out, err) == (0, "child\nparent 0\n" * threads, "")


def test_an_interpreter_that_takes_any_extension_module_goes_without(tmp_path):
    """Those that `Py_NewInterpreter` makes do not ask whether a module is for them, and share the main one's GIL."""
    source = """
import _testcapi
import cendre
def work(n):
    return sum(i for i in range(n))
for _ in range(30):
    work(9)
inside = '''
try:
    import cendre
except ImportError as error:
    print(error)
def work(n):
    return sum(i for i in range(n))
for _ in range(30):
    work(9)
print(work(5))
'''
print(cendre.jit.is_compiled(work), _testcapi.run_in_subinterp(inside), work(10), cendre.is_enabled(), flush=True)
"""
    (tmp_path / "program.py").write_text(source)
    status, out, err = call(sys.executable, "-u", "program.py", cwd=tmp_path, CENDRE="1", CENDRE_THRESHOLD="0")
    assert (status, out, err) == (0, "cendre works in the main interpreter only\n10\nTrue 0 45 True\n", "")


def test_another_interpreter_hears_nothing_of_cendre(tmp_path):
    """Everything is compiled at first sight here, also what an import in there would make."""
    source = """
from concurrent import interpreters
import cendre
assert cendre.is_enabled()
def work():
    return 7
for _ in range(3):
    work()
print(cendre.jit.is_compiled(work), interpreters.create().call(work))
"""
    (tmp_path / "program.py").write_text(source)
    status, out, err = call(sys.executable, "program.py", cwd=tmp_path, CENDRE="1", CENDRE_THRESHOLD="0")
    assert (status, out, err) == (0, "True 7\n", "")
