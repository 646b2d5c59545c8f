"""Things that happen in the middle of running code: signals, pending calls, collections, threads that take turns and change data.
Held: the code sees them, with locals that fit each other, and ends with the right result. Nothing here depends on when they happen."""
import gc
import os
import signal
import sys
import threading
import time
import warnings

from kit import ALL, outcome

MUST_COMPILE = ALL


def spin_until(flag):
    n = 0
    while not flag:
        n += 1
    return flag


def sums(n):
    s = i = 0
    while i < n:
        s += i
        i += 1
    return s


def float_sums(n):
    s = 0.0
    for i in range(n):
        s += i * 0.5
    return s


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def endless():
    i = s = 0
    while True:
        s += i
        i += 1


def endless_for():
    s = 0
    for i in range(10**12):
        s += 1


def endless_recursion_free(f):
    while True:
        f()


def nothing():
    return None


def raised_by_signal(f, *args):
    """A handler that raises, in a loop that calls nothing."""
    class Stop(Exception):
        pass

    def handler(number, frame):
        raise Stop(frame.f_code.co_name if frame.f_code.co_filename == __file__ else "elsewhere")
    old = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.03)
    try:
        f(*args)
    except Stop as e:
        tb = e.__traceback__
        while tb.tb_frame.f_code is not f.__code__:
            tb = tb.tb_next
        held = tb.tb_frame.f_locals
        if f is endless:
            i, s = held["i"], held["s"]
            return s in (i * (i - 1) // 2, i * (i + 1) // 2), i > 0
        return True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def interrupted():
    running = threading.Event()

    def kill():
        running.wait()
        time.sleep(0.03)
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=kill).start()
    try:
        running.set()
        endless()
    except KeyboardInterrupt as e:
        return type(e).__name__, e.args


def written_by_handler(value):
    """A handler changes the locals of the loop it interrupts."""
    def handler(number, frame):
        while frame.f_code is not counted.__code__:
            frame = frame.f_back
        if not frame.f_locals.get("i"):
            # not in its loop yet: what is written now would be set to 0 again
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            return
        frame.f_locals["i"] = frame.f_locals["n"] - 3
        frame.f_locals["s"] = value

    def counted(n):
        s = i = 0
        while i < n:
            s += i
            i += 1
        return s - (n - 3) - (n - 2) - (n - 1)
    old = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        # the loop may be interrupted between `s += i` and `i += 1`: then n-3 is counted once less
        return counted(2**40) in (value, value - (2**40 - 3)), "reached the end"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def many_signals(seconds):
    hits = [0]

    def handler(number, frame):
        hits[0] += 1
        sorted(frame.f_locals)
    old = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    results = set()
    try:
        # At least so long, and on a busy machine until enough of them have come.
        start = time.perf_counter()
        while (passed := time.perf_counter() - start) < seconds or hits[0] <= 5 and passed < 20:
            results.add((fib(12), sums(500), float_sums(300), sum(i * i for i in range(50)), work_with_objects(20)))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    return results, hits[0] > 5


class Cell:
    def __init__(self, v):
        self.v, self.me = v, self


def work_with_objects(n):
    out = [Cell(i) for i in range(n)]
    try:
        return sum(c.v for c in out) + out[n].v
    except IndexError:
        return sum([c.v for c in out])


def with_collections(n):
    """A threshold so low that collections happen all the time."""
    old = gc.get_threshold()
    gc.set_threshold(3)
    gc.enable()             # the runner of these programs switches it off
    try:
        return [(work_with_objects(30), fib(8), sums(100)) for _ in range(n)][-1]
    finally:
        gc.disable()
        gc.set_threshold(*old)


def in_threads(count, seconds):
    old = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    results, rounds, stop = set(), [0] * count, []
    end = time.perf_counter() + seconds

    def worker(k):
        while not rounds[k] or time.perf_counter() < end:
            results.add((fib(11), sums(300), float_sums(100), work_with_objects(10), sum(x for x in range(30))))
            rounds[k] += 1
    threads = [threading.Thread(target=worker, args=(k,)) for k in range(count)]
    try:
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        sys.setswitchinterval(old)
    return results, all(r > 0 for r in rounds), stop


def other_thread_stops_it():
    flag = []
    t = threading.Timer(0.03, flag.append, (1,))
    t.start()
    return spin_until(flag)


def other_thread_changes_global():
    global limit
    limit = 10**15
    def lower():
        global limit
        limit = 0
    t = threading.Timer(0.03, lower)
    t.start()
    i = 0
    while i < limit:
        i += 1
    t.join()
    return limit


def locked_counter(threads, n):
    lock, total = threading.Lock(), [0]

    def add():
        for _ in range(n):
            with lock:
                total[0] += 1
    ts = [threading.Thread(target=add) for _ in range(threads)]
    for t in ts:
        t.start()
    for t in ts:
        t.join()
    return total[0]


def thread_exception():
    seen = []
    old = threading.excepthook
    threading.excepthook = lambda args: seen.append((args.exc_type.__name__, str(args.exc_value)))
    try:
        t = threading.Thread(target=lambda: 1 // 0)
        t.start()
        t.join()
    finally:
        threading.excepthook = old
    return seen


def thread_locals(n):
    local = threading.local()
    out = []

    def work(k):
        local.x = k
        out.append((k, local.x))
    ts = [threading.Thread(target=work, args=(k,)) for k in range(n)]
    for t in ts:
        t.start()
    for t in ts:
        t.join()
    return sorted(out), outcome(lambda: local.x)


def asynchronous_exception():
    """PyThreadState_SetAsyncExc reaches a loop in another thread."""
    import ctypes
    caught, ready = [], threading.Event()

    class Stop(Exception):
        pass

    def victim():
        try:
            ready.set()
            endless()
        except Stop:
            caught.append("stopped")
    t = threading.Thread(target=victim, daemon=True)
    t.start()
    ready.wait()
    time.sleep(0.01)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(t.ident), ctypes.py_object(Stop))
    t.join(20)
    return caught


def forked():
    r, w = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")         # faulthandler's watchdog thread makes fork warn, with its pid
        pid = os.fork()
    if pid == 0:
        os.write(w, repr((fib(10), sums(100))).encode())
        os._exit(3)
    os.close(w)
    data = b""
    while chunk := os.read(r, 100):
        data += chunk
    os.close(r)
    return data, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), fib(10)


def cases():
    yield "raised_endless", lambda: raised_by_signal(endless)
    yield "raised_endless_for", lambda: raised_by_signal(endless_for)
    yield "raised_endless_calls", lambda: raised_by_signal(endless_recursion_free, nothing)
    yield "interrupted", interrupted
    yield "written_by_handler", lambda: [written_by_handler(v) for v in (10, 2**70)]
    yield "many_signals", lambda: many_signals(0.1)
    yield "with_collections", lambda: with_collections(3)
    yield "in_threads", lambda: in_threads(3, 0.15)
    yield "other_thread_stops_it", other_thread_stops_it
    yield "other_thread_changes_global", other_thread_changes_global
    yield "locked_counter", lambda: locked_counter(3, 300)
    yield "thread_exception", thread_exception
    yield "thread_locals", lambda: thread_locals(4)
    yield "asynchronous_exception", asynchronous_exception
    yield "forked", forked
