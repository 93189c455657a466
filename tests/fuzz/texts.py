"""Random activations as text, from a seed: tokens, characters, expressions of the grammar, and mutations of these.

Most are no activation. What matters is that some are almost one.
"""

import ast
import random
from collections.abc import Callable, Iterator

from mehler.derive.activation import NAMED
from mehler.derive.functions import CONSTANTS, FUNCTIONS
from mehler.derive.gallery import ENTRIES

TOKENS = [
    *("x", "x", "x", "a", "b", "y", "alpha", "pi", "e", "0", "1", "2", "9", ".5", "0.1", "1e9", "1e150", "-1"),
    *("(", ")", ",", " ", "\n", "+", "-", "*", "/", "**", "^", "<", ">", "<=", "==", "&", "|", "~", "@", "%", ":"),
    *("=", "[", "]", ".", "'", "\\", "{", "}", " and ", " or ", " not ", " if ", " else ", " for ", " in "),
    *("lambda ", "True", "inf", "nan", "None", "Piecewise((", *(f"{name}(" for name in FUNCTIONS)),
    *(f"{name}(" for name in NAMED),
]
NUMBERS = [
    *(
        "0",
        "1",
        "2",
        "3",
        "6",
        "1/2",
        "1/3",
        "0.1",
        "1.5",
        "7.25",
        "32",
        "33",
        "100",
        "1e3",
        "1e5",
        "1e10",
        "1e100",
    ),
    *("1e150", "1e-150", "1e-9", "9" * 40, "1/7919", "0.30000000000000004"),
]
LEAVES = [*["x"] * 12, "a", "b", "alpha", "beta", *CONSTANTS]
OPERATORS = ["+", "-", "*", "/", "**"]
COMPARISONS = ["<", "<=", ">", ">="]

# Text that earlier versions failed on, and its kind.
CORPUS = [
    *NAMED.values(),
    *(entry.text for entry in ENTRIES),
    *("2**where(x>0,x,1e10)", "(((x**32)**32)**32)**32", "max(x,exp(exp(exp(100))))", "x+sin(exp(exp(100)))"),
    *("max(log(-1),x)", "where(sqrt(-1)>0,x,0)", "celu(Piecewise((x,x>100)))", "selu(Piecewise((x,b>alpha)))"),
    *("x*exp(exp(1e150))", "2**where(x>0,x,1e5)", "where(x<-1/2,0,where(x>1/2,1,-2*x**3+3/2*x+1/2))"),
    *("max(x, x*exp(-abs(x)))", "min(x*sigmoid(x), 6)", "abs(sin(x))", "max(0,x)**1.5", "sign(x)*sqrt(abs(x))"),
    *("where(x>0,sin(x),x)", "exp(-x**2)*erf(x+1)", "(x+1)*cos(x)", "1/(x**2+x+1)", "x**2/(1+x**2)"),
]


def grown(luck: random.Random, depth: int = 4) -> str:
    """A random expression of the grammar."""
    if depth == 0 or luck.random() < 0.15:
        return luck.choice(LEAVES) if luck.random() < 0.7 else luck.choice(NUMBERS)

    def sub() -> str:
        return grown(luck, depth - 1)

    def condition() -> str:
        if luck.random() < 0.2:
            return f"({condition()} {luck.choice(['and', 'or', '&', '|'])} {condition()})"
        return f"({sub()} {luck.choice(COMPARISONS)} {sub()})"

    def call() -> str:
        name = luck.choice([*FUNCTIONS, *NAMED])
        count = FUNCTIONS[name][1] if name in FUNCTIONS else 1
        if name == "where":
            return f"where({condition()}, {sub()}, {sub()})"
        return f"{name}({', '.join(sub() for _ in range(count or luck.randint(1, 4)))})"

    forms: list[Callable[[], str]] = [
        lambda: f"({sub()}) {luck.choice(OPERATORS)} ({sub()})",
        lambda: f"({sub()}) {luck.choice('+-*')} ({sub()})",
        lambda: f"({sub()})**{luck.choice(NUMBERS[:14])}",
        lambda: f"-({sub()})",
        lambda: f"({sub()} if {condition()} else {sub()})",
        lambda: f"Piecewise(({sub()}, {condition()}), ({sub()}, {luck.choice(['True', condition()])}))",
        *[call] * 6,
    ]
    return luck.choice(forms)()


def _parts(tree: ast.AST) -> list[tuple[ast.AST, str, int | None]]:
    """Every place of a tree that holds an expression: its parent, field and index."""
    places: list[tuple[ast.AST, str, int | None]] = []
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if isinstance(value, ast.expr) and field != "func":
                places.append((parent, field, None))
            elif isinstance(value, list):
                places += [(parent, field, i) for i, item in enumerate(value) if isinstance(item, ast.expr)]
    return places


def _get(place: tuple[ast.AST, str, int | None]) -> ast.expr:
    parent, field, index = place
    found: ast.expr = getattr(parent, field) if index is None else getattr(parent, field)[index]
    return found


def mutated(luck: random.Random, text: str) -> str:
    """A valid expression with parts replaced, wrapped, repeated or swapped, so that most remain valid."""
    tree = ast.parse(text.replace("^", "**"), mode="eval")
    for _ in range(luck.randint(1, 4)):
        place = luck.choice(_parts(tree))
        parent, field, index = place
        old = ast.unparse(_get(place))
        other = ast.unparse(_get(luck.choice(_parts(tree))))
        new = luck.choice(
            [
                lambda: grown(luck, 2),
                lambda: luck.choice(NUMBERS),
                lambda: luck.choice(LEAVES),
                lambda old=old: f"{luck.choice([*FUNCTIONS, *NAMED])}({old})",
                lambda old=old, other=other: f"({old}) {luck.choice(OPERATORS)} ({other})",
                lambda old=old: f"({old})**{luck.choice(NUMBERS)}",
                lambda old=old: f"where({grown(luck, 1)} > {grown(luck, 1)}, {old}, {grown(luck, 1)})",
                lambda other=other: other,
            ]
        )()
        if len(old) + len(new) > 2500:
            continue
        node = ast.parse(new, mode="eval").body
        if index is None:
            setattr(parent, field, node)
        else:
            getattr(parent, field)[index] = node
    return ast.unparse(tree)


def scratched(luck: random.Random, text: str) -> str:
    """The text with some characters left out, put in, doubled or exchanged."""
    chars = list(text)
    for _ in range(luck.randint(1, 3)):
        i = luck.randrange(len(chars) + 1)
        kind = luck.randrange(4)
        if kind == 0:
            chars[i : i + luck.randint(1, 5)] = []
        elif kind == 1:
            chars.insert(i, luck.choice(TOKENS))
        elif kind == 2:
            chars[i:i] = chars[max(0, i - luck.randint(1, 9)) : i]
        else:
            chars[i : i + 1] = chr(luck.choice([*range(128), 0xB2, 0x3C6, 0x221E, 0x1D465]))
    return "".join(chars)


def nested(luck: random.Random) -> str:
    """One or two functions within each other many times, or powers of powers."""
    text, names = "x", luck.choices([*FUNCTIONS, *NAMED], k=2)
    for _ in range(luck.randint(2, 12)):
        name = luck.choice([*names, "**"])
        count = FUNCTIONS[name][1] if name in FUNCTIONS else 1
        if name == "**":
            text = f"({text})**{luck.choice(NUMBERS[:14])}"
        elif name == "where":
            text = f"where({text} > {luck.choice(NUMBERS)}, x, {text})"
        else:
            text = f"{name}({', '.join([text, '1', '2', 'x'][: count or luck.randint(1, 4)])})"
        if len(text) > 600:
            break
    return text


def wide(luck: random.Random) -> str:
    """Many like parts side by side: what is quadratic or worse in their number shows."""
    part = grown(luck, luck.randint(0, 2))
    shape = luck.choice(
        ["abs(x - {})", "max(x, {})", "x**{}", "sin({}*x)", "exp({}*x)", "sign(x + {})", "{}*x", "x/{}"]
    )
    parts = [shape.format(i) if luck.random() < 0.9 else part for i in range(luck.randint(2, 90))]
    join = luck.choice([" + ", "*", ", ", ", "])
    text = join.join(parts)
    return f"{luck.choice(['max', 'min'])}({text})" if join == ", " else text


def texts(seed: int) -> Iterator[str]:
    """Without end."""
    luck = random.Random(seed)
    kinds: list[Callable[[], str]] = [
        lambda: "".join(luck.choices(TOKENS, k=luck.randint(1, 20))),
        lambda: grown(luck, luck.randint(1, 4)),
        lambda: mutated(luck, luck.choice(CORPUS)),
        lambda: mutated(luck, luck.choice(CORPUS)),
        lambda: scratched(luck, luck.choice(CORPUS)),
        lambda: scratched(luck, mutated(luck, luck.choice(CORPUS))),
        lambda: nested(luck),
        lambda: wide(luck),
    ]
    while True:
        yield luck.choice(kinds)()
