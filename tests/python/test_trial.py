"""The switches that make tests hard: a drawn warm-up, a drawn part of the code objects, guards that fail although nothing is wrong."""
import pytest

import support


@pytest.mark.parametrize("entries", support.ENTRIES)
@pytest.mark.parametrize("warmup", ["0", "5", "13-13"])
def test_warmup_is_counted(entries, warmup):
    """The call behind the last one that is interpreted finds the code compiled."""
    out = support.python("""
        def calls():
            def f(x):
                return x + 1
            n = 0
            while not jit.is_compiled(f):
                f(1)
                n += 1
            return n
        print(calls())
    """, mode="first", entries=entries, CENDRE_WARMUP=warmup)
    assert int(out) == int(warmup.partition("-")[0]) + 1


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_warmup_is_drawn_for_each_code_object(entries):
    source = """
        def calls(n):
            scope = {}
            exec(f"def f{n}(x):\\n    return x + 1", scope)
            f, n = scope[f"f{n}"], 0
            while not jit.is_compiled(f):
                f(1)
                n += 1
            return n
        print(*[calls(n) for n in range(200)])
    """
    runs = [support.python(source, mode="first", entries=entries, CENDRE_WARMUP="2-20", CENDRE_SEED=seed) for seed in ("1", "1", "2")]
    first, again, other = (list(map(int, run.split())) for run in runs)
    # A call that finds the eval breaker set is not counted: one more, now and then.
    differs = [b - a for a, b in zip(first, again, strict=True) if a != b]
    assert len(differs) < 20 and all(-2 <= d <= 2 for d in differs), differs
    assert sum(a != b for a, b in zip(first, other, strict=True)) > 100
    assert (min(first), min(21, max(first))) == (3, 21)


def test_loops_are_warmed_up_too():
    support.python("""
        def loop(n):
            seen = []
            for i in range(n):
                seen.append(jit.is_compiled(loop))
            return seen
        seen = loop(30)
        assert not any(seen[:9]) and all(seen[20:]), seen
    """, mode="first", CENDRE_WARMUP="10")


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_a_part_is_left_out(entries):
    source = """
        scope = {}
        for n in range(200):
            exec(f"def f{n}(x):\\n    return x + 1", scope)
            scope[f"f{n}"](1); scope[f"f{n}"](1)
        left_out = [n for n in range(200) if not jit.is_compiled(scope[f"f{n}"])]
        for n in left_out:
            assert record(scope[f"f{n}"])["reason"] == "left out by CENDRE_MIX"
        print(*left_out)
    """
    runs = [support.python(source, mode="first", entries=entries, CENDRE_MIX="50", CENDRE_SEED=seed).split() for seed in ("1", "1", "2")]
    assert runs[0] == runs[1] != runs[2]
    assert 60 < len(runs[0]) < 140
    assert not support.python(source, mode="first", entries=entries, CENDRE_MIX="100").split()


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_forced_leaves(entries):
    """They happen, the results are right, and they neither count as the code's own nor make it generic."""
    out = support.python("""
        class P:
            def __init__(self, x):
                self.x = x
        def work(items):
            total, words = 0, []
            for p in items:
                total += p.x * 3 % 7
                words.append(f"{total}" if total & 1 else len(items))
            return total, len(words)
        items = [P(i) for i in range(300)]
        first = work(items)
        for _ in range(60):
            assert work(items) == first
        stats = jit.stats()
        assert jit.is_compiled(work)
        assert stats["left_forced"] >= 20, stats
        assert record(work)["compiles"] == 1 and not record(work)["leaves"], record(work)
        print(first)
    """, mode="first", entries=entries, CENDRE_WARMUP="40", CENDRE_FORCE_LEAVES="10")
    assert out == f"({sum(i * 3 % 7 for i in range(300))}, 300)\n"


@pytest.mark.parametrize("every", ["2", "10", "40"])
def test_a_method_that_was_found_keeps_its_object(every):
    """The site expects methods, and its guard stands behind the look-up: made to fail, it must not say that it found no method."""
    support.python("""
        class L:
            def stats(self, path):
                return path
        def call(l, i):
            return l.stats(i)
        ls = [L() for _ in range(3)]
        ls[2].other = 1  # Its keys are not those that the site has seen first: the site gets a cache.
        for i in range(100):
            for l in ls:
                call(l, i)
        cendre.jit.compile(call)
        for i in range(3000):
            for l in ls:
                assert call(l, i) == i
        ls[1].stats = lambda path: -path
        for i in range(300):
            assert [call(l, i) for l in ls] == [i, -i, i]
        assert jit.is_compiled(call) and jit.stats()["left_forced"] > 20, jit.stats()
    """, CENDRE_FORCE_LEAVES=every, CENDRE_THRESHOLD="4294967295")


def test_nothing_is_forced_without_the_switch():
    support.python("""
        def f(n):
            for i in range(n):
                n += i & 3
            return n
        compiled(f)
        f(10000)
        assert jit.stats()["left_forced"] == 0
    """)


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_every_guard_fails(entries):
    """Left before the first instruction, a call goes on behind its RESUME: there stands the way in, which would lead to the same guard for ever."""
    out = support.python("""
        K = 3
        def f(x):
            return x + K
        compiled(f)
        print(sum(f(n) for n in range(100)), 0 < jit.stats()["left_forced"] <= 1000)
    """, entries=entries, CENDRE_FORCE_LEAVES="1", CENDRE_THRESHOLD="4294967295")
    assert out == f"{sum(range(100)) + 300} True\n"


@pytest.mark.parametrize("every", ["2", "3", "5", "9"])
def test_a_list_is_left_between_its_items(every):
    """`a, b, c = items` reads an item at a time: a guard that fails behind the first must not keep it."""
    support.python("""
        dead = 0
        class N:
            def __del__(self):
                global dead
                dead += 1
        def unpack():
            a, b, c = [N(), N(), N()]
            match [N(), N(), c]:
                case [d, e, f]:
                    return f is c
        for _ in range(100):
            unpack()
        compiled(unpack)
        for n in range(100, 1100):
            assert dead == 5 * n, (n, dead)
            assert unpack()
        assert jit.stats()["left_forced"] > 100, jit.stats()
    """, CENDRE_FORCE_LEAVES=every, CENDRE_THRESHOLD="4294967295")
