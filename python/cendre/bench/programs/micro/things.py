"""What the cases work on: classes, functions and objects of every usual shape."""
import abc
import collections
import dataclasses
import enum

CASES = {}


def case(function):
    """Registers a case under its name."""
    CASES[function.__name__.replace("_", "-")] = function
    return function


class Base:
    kind = "base"

    def __init__(self, x):
        self.x = x

    def value(self):
        return self.x

    def add(self, a, b=2, *, c=3):
        return self.x + a + b + c

    def size(self):
        return 1

    @property
    def twice(self):
        return self.x * 2

    @classmethod
    def make(cls, x):
        return cls

    @staticmethod
    def static(x):
        return x


class Left(Base):
    def value(self):
        return self.x + 1

    def size(self):
        return super().size() + 1


class Right(Base):
    def __init__(self, x):
        super().__init__(x)
        self.y = x

    def value(self):
        return self.x + 2


class Slots:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x = x
        self.y = y


class Many:
    """More attributes than fit in an object: a dict of its own."""

    def __init__(self):
        for i in range(60):
            setattr(self, f"a{i}", i)
        self.x = 1


class Fallback:
    def __getattr__(self, name):
        return name


class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...


class Square(Shape):
    def area(self):
        return 1


class Number:
    def __init__(self, n):
        self.n = n

    def __add__(self, other):
        return self.n + other

    def __eq__(self, other):
        return self.n == other.n

    def __lt__(self, other):
        return self.n < other.n

    def __hash__(self):
        return self.n

    def __getitem__(self, key):
        return key

    def __len__(self):
        return 3

    def __contains__(self, key):
        return key == 1

    def __call__(self, x):
        return x

    def __bool__(self):
        return True

    def __iter__(self):
        return iter((1, 2, 3))


class Manager:
    def __enter__(self):
        return self

    def __exit__(self, *args):
        return True


@dataclasses.dataclass
class Point:
    x: int
    y: int
    z: int = 0


Pair = collections.namedtuple("Pair", "a b")


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


def plain3(a, b, c):
    return c


def defaults(a, b=2, c=3):
    return c


def keyword_only(a, *, b, c=3):
    return b


def varargs(*args):
    return args


def kwargs(**kw):
    return kw


def both(*args, **kw):
    return args


def forward(*args, **kw):
    return both(*args, **kw)


OBJECTS = [Base(1), Left(1), Right(1)]
MANY = [type(f"C{i}", (Base,), {})(1) for i in range(9)]
